"""Bridges to other libraries, each imported only when used."""

from __future__ import annotations

__all__ = ["HuggingFaceSource"]

from torchcross.interop.huggingface import HuggingFaceSource
