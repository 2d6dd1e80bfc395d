"""Every exception and warning this library raises, on one page.

    TorchcrossError
     ├── InputError (ValueError)          an argument is not what it must be
     │    ├── TargetError                 a target's classes, grades or options
     │    ├── LabelError                  a label array against its target
     │    ├── SourceError                 a task source: images, labels, groups, folder
     │    └── DatasetFileError            a file of a dataset on disk: damaged, foreign, or against
     its description
     ├── InfeasibleError (ValueError)     episodes that the data cannot give
     ├── PlanFileError (ValueError)       a file of plans that cannot be used
     ├── ReadError (RuntimeError)         samples, or a file, that cannot be read
     │    └── DamageError                 a file of ours whose content is not what was written
     ├── DivergenceError (RuntimeError)   an inner loop or its gradient left the finite numbers
     ├── RankError (RuntimeError)         a process of a training ended or failed
     ├── WriteError (RuntimeError)        a file or a dataset that cannot be written
     ├── FetchError (RuntimeError)        data or weights that cannot be had
     ├── MissingExtraError (ImportError)  an optional dependency is not installed
     └── EnvironmentClashError (ImportError)

    TorchcrossWarning (UserWarning)
     ├── BackboneWarning                  a predictor's file does not describe its backbone
     ├── EngineWarning                    an engine does not answer, and is asked again
     ├── SoftLockWarning                  a file system has no locks, and a marker file stands in
     ├── OverlapWarning                   one dataset lists an overlap that the other does not
     ├── SubjectLeakWarning               subjects may stand in both support and query
     └── TrackerWarning                   a tracker failed, and training goes on without it

Every exception is built from one message, so it survives the trip out of a worker process
unchanged. The message has no control characters, and its middle is left out where it is long: it
names files and values that may come from anywhere.
"""

from __future__ import annotations

from torchcross.messages import printable, without_middle

__all__ = [
    "BackboneWarning",
    "DamageError",
    "DatasetFileError",
    "DivergenceError",
    "EngineWarning",
    "EnvironmentClashError",
    "FetchError",
    "InfeasibleError",
    "InputError",
    "LabelError",
    "MissingExtraError",
    "OverlapWarning",
    "PlanFileError",
    "RankError",
    "ReadError",
    "SoftLockWarning",
    "SourceError",
    "SubjectLeakWarning",
    "TargetError",
    "TorchcrossError",
    "TorchcrossWarning",
    "TrackerWarning",
    "WriteError",
]


def _message_part(part: object) -> object:
    return without_middle(printable(part)) if isinstance(part, str) else part


class TorchcrossError(Exception):
    """The root of all errors raised by this library."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*map(_message_part, parts))


class InputError(TorchcrossError, ValueError):
    """An argument is not what it must be."""


class TargetError(InputError):
    """The description of a target (classes, grades, loss, options) is inconsistent."""


class LabelError(InputError):
    """A label array does not fit its target."""


class SourceError(InputError):
    """A task source's parts (images, labels, groups, folder) do not fit together."""


class DatasetFileError(InputError):
    """A file of a dataset is damaged, foreign, or contradicts the dataset's description."""


class InfeasibleError(TorchcrossError, ValueError):
    """The data cannot give the episodes asked for."""


class PlanFileError(TorchcrossError, ValueError):
    """A file of plans is damaged, from a later version, or belongs to other labels."""


class ReadError(TorchcrossError, RuntimeError):
    """Samples could not be read."""


class DamageError(ReadError):
    """A file's content is not what was written: its content hash says so."""


class DivergenceError(TorchcrossError, RuntimeError):
    """An inner loop or a fit did not converge, or left the finite numbers."""


class RankError(TorchcrossError, RuntimeError):
    """One of the processes that train together ended or failed, and so all have stopped."""


class WriteError(TorchcrossError, RuntimeError):
    """A file or a dataset could not be written; nothing stands under its final name."""


class FetchError(TorchcrossError, RuntimeError):
    """Data or weights could not be fetched, or are not what they must be."""


class MissingExtraError(TorchcrossError, ImportError):
    """An optional dependency is needed here and not installed."""


class EnvironmentClashError(TorchcrossError, ImportError):
    """Another distribution that owns the same package name shares the environment."""


class TorchcrossWarning(UserWarning):
    """The root of all warnings of this library."""

    def __init__(self, *parts: object) -> None:
        super().__init__(*map(_message_part, parts))


class SubjectLeakWarning(TorchcrossWarning):
    """Subjects may stand in both the support and the query of an episode."""


class SoftLockWarning(TorchcrossWarning):
    """A file system has no locks: a marker file keeps other processes out."""


class BackboneWarning(TorchcrossWarning):
    """Whether a backbone is the one that a predictor was made with cannot be told."""


class EngineWarning(TorchcrossWarning):
    """An engine of jobs does not answer now; it is asked again."""


class OverlapWarning(TorchcrossWarning):
    """One dataset lists an overlap with another that does not list it back."""


class TrackerWarning(TorchcrossWarning):
    """A tracker of a training failed: training goes on without it."""
