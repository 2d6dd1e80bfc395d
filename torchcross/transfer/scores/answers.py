"""Features and labels as scores take them: finite rows, and the questions that labels answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from torchcross._kit.counts import count_text
from torchcross.errors import InputError
from torchcross.metrics.score import Score, average_score, name_list, undefined_score
from torchcross.targets import Target
from torchcross.targets.strata import Partition

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
_ROUNDING = 1e-12
_LARGEST_EXPONENT = 100
"""Of two: up to it, and down to its negative, even the fourth power of a feature is a number."""


@dataclass(frozen=True, eq=False)
class Answer:
    """One question that labels answer: the class of a sample, or whether it has one label.

    label   the label of a multi-label target; empty for the class of a sample
    rows    positions of the samples with a known answer
    codes   their answers, numbered from 0 over the answers that occur
    absent  classes that no sample has
    """

    label: str
    rows: Integers
    codes: Integers
    absent: tuple[str, ...]

    @property
    def num_classes(self) -> int:
        """How many different answers occur."""
        return int(self.codes.max(initial=-1)) + 1

    @property
    def counts(self) -> Integers:
        """How many samples have each answer."""
        return np.bincount(self.codes, minlength=self.num_classes)

    def one_hot(self) -> Floats:
        """A column of ones and zeros for each answer."""
        columns: Floats = np.eye(self.num_classes)[self.codes]
        return columns


ScoreOfAnswer = Callable[[Floats, Answer], Score]


def score_by_answer(rows: Floats, labels: ArrayLike, target: Target, score: ScoreOfAnswer) -> Score:
    """The score of a target: of its classes, or the mean over the labels that have one.

    Only samples with a known answer count, and a single answer has no score. The reason of a mean
    has those of its labels.
    """
    answers = answers_of(labels, target, len(rows))
    scores = [_score_of(_rows_of(answer, rows), answer, score) for answer in answers]
    if len(answers) == 1 and not answers[0].label:
        return _with_absent_classes(scores[0], answers[0])
    values = [score.value if score.is_defined else None for score in scores]
    names = [answer.label for answer in answers]
    having: dict[str, list[str]] = {}
    for name, each in zip(names, scores, strict=True):
        if each.reason:
            having.setdefault(each.reason, []).append(name)
    mean = average_score(values, names, "labels", "; ".join(having))
    if not mean.is_defined:
        return mean
    remarks = [f"{name_list(named)}: {reason}" for reason, named in having.items()]
    return Score(mean.value, "; ".join(filter(None, (mean.reason, *remarks))), mean.over)


def score_of_features(
    features: ArrayLike,
    labels: ArrayLike,
    target: Target,
    score: ScoreOfAnswer,
    *,
    scale_counts: bool = False,
) -> Score:
    """`score_by_answer`, undefined where all samples have the same features.

    scale_counts  whether the score is another one for features times a factor: it is undefined for
                  features whose squares are no numbers, and other scores take them in other units
    """
    rows = checked_features(features)
    too_large = scale_counts and _exponent(rows) > _LARGEST_EXPONENT
    if not scale_counts:
        rows = in_safe_units(rows)

    def score_unless_constant(rows: Floats, answer: Answer) -> Score:
        if too_large:
            return undefined_score(
                f"the features are as large as {np.abs(rows).max():.1e}, too large for a score in"
                " which their scale counts; divide all features by one number"
            )
        return constant_features(rows) or score(rows, answer)

    return score_by_answer(rows, labels, target, score_unless_constant)


def in_safe_units(rows: Floats) -> Floats:
    """The features times a power of two where their squares would be infinite or zero.

    For scores that do not depend on the scale: a power of two changes no digit.
    """
    exponent = _exponent(rows)
    if abs(exponent) <= _LARGEST_EXPONENT:
        return rows
    scaled: Floats = np.ldexp(rows, -exponent)
    return scaled


def _exponent(rows: Floats) -> int:
    """Of two, for the largest absolute value."""
    return int(np.frexp(np.abs(rows).max())[1])


def _rows_of(answer: Answer, rows: Floats) -> Floats:
    """Those with a known answer; a copy of all would cost as much as a fast score."""
    return rows if len(answer.rows) == len(rows) else rows[answer.rows]


def _score_of(rows: Floats, answer: Answer, score: ScoreOfAnswer) -> Score:
    if answer.num_classes < 2:
        return undefined_score(
            f"{count_text(len(rows), 'labelled samples')} of one class: nothing to tell apart"
        )
    return score(rows, answer)


def constant_features(rows: Floats) -> Score | None:
    """An undefined score where all rows are the same, but for rounding."""
    if np.ptp(rows, axis=0).max() > _ROUNDING * np.abs(rows).max():
        return None
    return undefined_score(f"all {len(rows)} samples have the same features")


def constant_directions(rows: Floats) -> Score | None:
    """An undefined score where all rows, which `directions_of` has divided, are the same."""
    if constant_features(rows) is None:
        return None
    return undefined_score(f"the features of all {len(rows)} samples have the same direction")


def directions_of(rows: Floats) -> Floats:
    """The rows divided by their lengths; a row of zeros stays."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    divided: Floats = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return divided


def _with_absent_classes(score: Score, answer: Answer) -> Score:
    if not answer.absent or not score.is_defined:
        return score
    absent = f"no sample of {name_list(answer.absent)}"
    return Score(score.value, "; ".join(filter(None, (score.reason, absent))))


def checked_features(features: ArrayLike, name: str = "features") -> Floats:
    """Return features (N, D) as float64; names the first row that is not finite."""
    rows = _as_floats(features)
    if rows.ndim != 2 or rows.shape[0] < 2 or rows.shape[1] < 1:
        raise InputError(
            f"{name} have the shape {rows.shape}; give (N, D): at least two samples, and one number"
            " or more of each"
        )
    if not (finite := np.isfinite(rows).all(axis=1)).all():
        first = int(np.flatnonzero(~finite)[0])
        raise InputError(
            f"{int((~finite).sum())} of {len(rows)} rows of {name} have a value that is not finite,"
            f" the first is row {first}; look at that sample, or leave it out"
        )
    return rows


def _as_floats(values: Any) -> Floats:
    if hasattr(values, "detach"):
        values = values.detach().cpu().double().numpy()
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"features are no array of numbers: {error}") from error


def checked_codes(labels: ArrayLike, target: Target, samples: int) -> Integers:
    """Return the codes of `samples` samples; raw labels are encoded by their target first."""
    codes = np.asarray(labels.cpu() if hasattr(labels, "cpu") else labels)
    wanted = (samples, *target.label_shape)
    if codes.shape != wanted or codes.dtype.kind not in "iu":
        raise InputError(
            f"labels are {codes.dtype} of shape {codes.shape}, and features have {samples} rows;"
            f" give codes of {target!r} of shape {wanted}, as target.encode(labels) returns them"
        )
    if codes.size and (codes.min() < -1 or codes.max() >= len(target.values)):
        raise InputError(
            f"labels lie in {codes.min()}..{codes.max()}; the codes of {target!r} are"
            f" 0..{len(target.values) - 1}, and -1 where a label is missing"
        )
    return codes.astype(np.int64)


def answers_of(labels: ArrayLike, target: Target, samples: int) -> list[Answer]:
    """The questions that the labels of a target answer: one, or one for each label."""
    codes = checked_codes(labels, target, samples)
    strata = target.strata(codes)
    if isinstance(strata, Partition):
        return [_answer("", np.asarray(strata.codes, dtype=np.int64), target.classes)]
    return list(_label_answers(np.asarray(strata.answers, dtype=np.int64), target.classes))


def _label_answers(answers: Integers, labels: tuple[str, ...]) -> Iterator[Answer]:
    for column, label in enumerate(labels):
        yield _answer(label, answers[:, column], ("without", "with"))


def _answer(label: str, codes: Integers, classes: tuple[str, ...]) -> Answer:
    rows = np.flatnonzero(codes >= 0)
    present, numbers = np.unique(codes[rows], return_inverse=True)
    absent = tuple(name for code, name in enumerate(classes) if code not in present)
    return Answer(label, rows, numbers.reshape(-1), absent)


def classes_present(target: Target, codes: ArrayLike) -> tuple[str, ...]:
    """The classes that some sample has, or the labels that some have and some have not."""
    answers = answers_of(codes, target, len(np.asarray(codes)))
    if answers[0].label:
        return tuple(answer.label for answer in answers if not answer.absent)
    return tuple(name for name in target.classes if name not in answers[0].absent)
