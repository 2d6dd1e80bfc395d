"""The parts of the writer."""

from __future__ import annotations

from medimeta_adapter.writing.draft import DatasetDraft

__all__ = ["DatasetDraft"]
