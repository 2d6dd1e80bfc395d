"""Every exception and warning this library raises, on one page.

    TorchcrossError
     ├── InputError (ValueError)          an argument is not what it must be
     │    ├── TargetError                 a target's classes, grades or options
     │    ├── LabelError                  a label array against its target
     │    ├── SmallSupportError           a support set: too few samples of a class
     │    ├── SourceError                 a task source: images, labels, groups, folder
     │    ├── UnscaledDepthError          an image of more than 8 bits that nothing scales
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
     ├── EngineWarning                    an engine does not answer, or has no room for a unit
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
    "SmallSupportError",
    "SoftLockWarning",
    "SourceError",
    "SubjectLeakWarning",
    "TargetError",
    "TorchcrossError",
    "TorchcrossWarning",
    "TrackerWarning",
    "UnscaledDepthError",
    "WriteError",
]


def _message_part(part: object) -> object:
    return without_middle(printable(part)) if isinstance(part, str) else part


class TorchcrossError(Exception):
    """The root of all errors raised by this library.

    >>> from torchcross.errors import TorchcrossError
    >>> from torchcross.targets import Binary
    >>> try:
    ...     tx.TensorSource(np.zeros((3, 1, 8, 8)), [0, 1], tx.Task("lesion", Binary()))
    ... except TorchcrossError as error:
    ...     print(type(error).__name__)
    SourceError
    """

    def __init__(self, *parts: object) -> None:
        super().__init__(*map(_message_part, parts))


class InputError(TorchcrossError, ValueError):
    """An argument is not what it must be.

    >>> from torchcross.errors import InputError
    >>> try:
    ...     tx.Task("", None)
    ... except InputError as error:
    ...     print(error)
    Task got the name ''; give a non-empty string
    """


class TargetError(InputError):
    """The description of a target (classes, grades, loss, options) is inconsistent.

    >>> from torchcross.errors import TargetError
    >>> from torchcross.targets import MultiClass
    >>> try:
    ...     MultiClass(["disc", "disc"])
    ... except TargetError as error:
    ...     print(error)
    MultiClass got the class names ['disc'] more than once; give every class a name of its own
    """


class LabelError(InputError):
    """A label array does not fit its target.

    >>> from torchcross.errors import LabelError
    >>> from torchcross.targets import Binary
    >>> try:
    ...     tx.TensorSource(np.zeros((3, 1, 8, 8)), [0, 1, 7], tx.Task("lesion", Binary()))
    ... except LabelError as error:
    ...     print(str(error)[:75])
    labels of source 'lesion' hold 1 value(s) outside the classes: 7 (the first
    """


class SmallSupportError(InputError):
    """A support set has too few samples of a class for what is asked of it."""


class SourceError(InputError):
    """A task source's parts (images, labels, groups, folder) do not fit together.

    >>> from torchcross.errors import SourceError
    >>> from torchcross.targets import Binary
    >>> try:
    ...     tx.TensorSource(np.zeros((3, 8, 8)), [0, 1, 0], tx.Task("lesion", Binary()))
    ... except SourceError as error:
    ...     print(str(error)[:47])
    source 'lesion' got images of shape (3, 8, 8),
    """


class UnscaledDepthError(InputError):
    """An image of more than 8 bits, whose scaling nobody chose; `values` is its range of values."""

    def __init__(self, message: str, values: tuple[float, float] = (0, 0)) -> None:
        super().__init__(message)
        self.values = values


class DatasetFileError(InputError):
    """A file of a dataset is damaged, foreign, or contradicts the dataset's description."""


class InfeasibleError(TorchcrossError, ValueError):
    """The data cannot give the episodes asked for.

    >>> from torchcross.data import toys
    >>> from torchcross.errors import InfeasibleError
    >>> try:
    ...     tx.EpisodeSampler(toys.binary(20, size=8), shots=50)
    ... except InfeasibleError as error:
    ...     print(str(error)[:37])
    source 'ink/hole' cannot give 50-shot
    """


class PlanFileError(TorchcrossError, ValueError):
    """A file of plans is damaged, from a later version, or belongs to other labels.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from torchcross.data import toys
    >>> from torchcross.errors import PlanFileError
    >>> source = toys.binary(60, size=8)
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "plans.npz"
    ...     tx.save_plans(path, tx.EpisodeSampler(source, shots=1, queries=1), range(3))
    ...     try:
    ...         tx.load_plans(path, toys.binary(61, size=8))
    ...     except PlanFileError as error:
    ...         print("other labels:", source.name in str(error))
    ...
    other labels: True
    """


class ReadError(TorchcrossError, RuntimeError):
    """Samples could not be read.

    >>> from torchcross.errors import ReadError
    >>> try:
    ...     tx.read_records("none.csv")
    ... except ReadError as error:
    ...     print("no such file" if "none.csv" in str(error) else error)
    no such file
    """


class DamageError(ReadError):
    """A file's content is not what was written: its content hash says so.

    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from torchcross.errors import DamageError
    >>> from torchcross.records import EpisodeRecord, Records
    >>> row = EpisodeRecord("r", "ink/shape", "ink", "ncm", 5, 0, 0, "auroc", 0.75)
    >>> with TemporaryDirectory() as folder:
    ...     path = Records.of([row]).write(Path(folder) / "rows.csv")
    ...     _ = path.write_text(path.read_text().replace("0.75", "0.95"))
    ...     try:
    ...         tx.read_records(path)
    ...     except DamageError as error:
    ...         print("changed:", "rows.csv" in str(error))
    ...
    changed: True
    """


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
    """Subjects may stand in both the support and the query of an episode.

    >>> import warnings
    >>> from torchcross.errors import SubjectLeakWarning
    >>> from torchcross.targets import Binary
    >>> task, labels = tx.Task("lesion", Binary()), np.arange(40) % 2
    >>> patients = np.arange(40) // 4
    >>> source = tx.TensorSource(np.zeros((40, 1, 8, 8)), labels, task, groups=patients)
    >>> with warnings.catch_warnings(record=True) as caught:
    ...     warnings.simplefilter("always")
    ...     _ = tx.EpisodeSampler(source, shots=2, queries=2, groups="ignore")
    ...
    >>> caught[0].category is SubjectLeakWarning
    True
    """


class SoftLockWarning(TorchcrossWarning):
    """A file system has no locks, so a marker file keeps other processes out."""


class BackboneWarning(TorchcrossWarning):
    """A predictor's file is too old to say which backbone it was made with."""


class EngineWarning(TorchcrossWarning):
    """An engine of jobs does not answer now, or none of its machines can hold a unit."""


class OverlapWarning(TorchcrossWarning):
    """One dataset lists an overlap with another that does not list it back."""


class TrackerWarning(TorchcrossWarning):
    """A tracker of a training failed, and training goes on without it."""
