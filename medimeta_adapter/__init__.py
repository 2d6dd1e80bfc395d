"""The MedIMeta meta-dataset: reading, writing, checking, converting, and one domain left out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medimeta_adapter.convert.splitting import split_by_subject, split_report
    from medimeta_adapter.format.dataset import MedIMetaDataset
    from medimeta_adapter.format.info import (
        DatasetInfo,
        SplitCounts,
        TaskInfo,
        info_text,
        read_info,
    )
    from medimeta_adapter.format.problems import TaskTarget
    from medimeta_adapter.format.reading_options import ReadingOptions
    from medimeta_adapter.format.source import MedIMetaSource
    from medimeta_adapter.leave_out.folds import Fold
    from medimeta_adapter.leave_out.meta_dataset import LeaveOut, MedIMeta, TaskRef
    from medimeta_adapter.writing.draft import DatasetDraft
    from medimeta_adapter.writing.writer import DatasetWriter

_HOME = {
    "DatasetDraft": "writing.draft",
    "DatasetInfo": "format.info",
    "DatasetWriter": "writing.writer",
    "Fold": "leave_out.folds",
    "LeaveOut": "leave_out.meta_dataset",
    "MedIMeta": "leave_out.meta_dataset",
    "MedIMetaDataset": "format.dataset",
    "MedIMetaSource": "format.source",
    "ReadingOptions": "format.reading_options",
    "SplitCounts": "format.info",
    "TaskInfo": "format.info",
    "TaskRef": "leave_out.meta_dataset",
    "TaskTarget": "format.problems",
    "info_text": "format.info",
    "read_info": "format.info",
    "split_by_subject": "convert.splitting",
    "split_report": "convert.splitting",
}

__all__ = [
    "DatasetDraft",
    "DatasetInfo",
    "DatasetWriter",
    "Fold",
    "LeaveOut",
    "MedIMeta",
    "MedIMetaDataset",
    "MedIMetaSource",
    "ReadingOptions",
    "SplitCounts",
    "TaskInfo",
    "TaskRef",
    "TaskTarget",
    "info_text",
    "read_info",
    "split_by_subject",
    "split_report",
]


def __getattr__(name: str) -> Any:
    """Names are imported when they are used: a command's help needs neither torch nor HDF5."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
