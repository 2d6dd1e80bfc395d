"""A folder of datasets, opened as experiments open it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from medimeta_adapter.leave_out.collection import MedIMetaCollection


def collection(root: Path, channels: Any = 3) -> MedIMetaCollection:
    return MedIMetaCollection(root, channels=channels)


def named(sources: Any) -> list[str]:
    return [source.name for source in sources]
