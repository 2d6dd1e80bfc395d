"""PARC: whether samples that are alike in features are alike in labels (Bolya et al. 2021)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from torchcross._kit.argument_checks import as_int
from torchcross._kit.counts import count_text
from torchcross._kit.randomness import Stream, permutation
from torchcross.metrics.score import Score, undefined_score
from torchcross.targets import Target
from torchcross.transfer.scores.answers import (
    Floats,
    Integers,
    answers_of,
    checked_features,
    constant_features,
    in_safe_units,
)
from torchcross.transfer.scores.singular_values import principal_components

_ROUNDING = 1e-12


def parc(
    features: ArrayLike,
    labels: ArrayLike,
    target: Target,
    *,
    components: int | None = 32,
    samples: int = 2000,
    seed: int = 0,
) -> Score:
    """100 times Spearman's correlation of two distances between samples: of features, of labels.

    Both are 1 - the correlation of two rows: of standardised features, in their first `components`
    principal components, and of label columns. The cost grows with the square of the samples, so at
    most `samples` of them count, drawn by `seed`. Multi-label rows of no or of all labels correlate
    with nothing and are left out.
    """
    samples = as_int("samples", samples, least=3)
    rows = in_safe_units(checked_features(features))
    columns, usable = _label_rows(labels, target, len(rows))
    reason = ""
    if skipped := len(rows) - len(usable):
        reason = (
            f"{count_text(skipped, 'samples')} left out: label rows that are constant or unknown"
        )
    if len(usable) > samples:
        usable = np.sort(usable[permutation(Stream(seed, "parc"), 0, len(usable))[:samples]])
    rows, columns = rows[usable], columns[usable]
    if len(rows) < 3:
        return undefined_score(
            f"{count_text(len(rows), 'samples')} with labels that can be correlated; give three or"
            " more"
        )
    if constant_features(columns):
        return undefined_score("the labelled samples are of one class: nothing to tell apart")
    if constant := constant_features(rows):
        return constant
    rows = _reduce(rows, components)
    if rows.shape[1] == 1:
        return undefined_score("samples of one feature have no correlation; give two or more")
    if flat := int((np.ptp(rows, axis=1) <= _ROUNDING * np.abs(rows).max()).sum()):
        return undefined_score(
            f"{count_text(flat, 'samples')} of {len(rows)} with one number in all standardised"
            " features, which correlates with nothing; leave them out, or give more features"
        )
    distances = {"features": _distances(rows), "labels": _distances(columns)}
    for of, apart in distances.items():
        if not np.ptp(apart):
            return undefined_score(f"all pairs of samples are equally alike in {of}")
    return Score(100 * _rank_correlation(*distances.values()), reason)


def _label_rows(labels: ArrayLike, target: Target, samples: int) -> tuple[Floats, Integers]:
    """(a row of label columns for each sample, the samples whose rows can be correlated)."""
    answers = answers_of(labels, target, samples)
    if not answers[0].label:
        columns = np.zeros((samples, answers[0].num_classes))
        columns[answers[0].rows] = answers[0].one_hot()
        return columns, answers[0].rows
    columns = np.full((samples, len(answers)), np.nan)
    for number, answer in enumerate(answers):
        with_label = answer.num_classes - 1 if "with" not in answer.absent else -1
        columns[answer.rows, number] = answer.codes == with_label
    known = ~np.isnan(columns).any(axis=1)
    return columns, np.flatnonzero(known & (np.ptp(np.nan_to_num(columns), axis=1) > 0))


def _reduce(rows: Floats, components: int | None) -> Floats:
    spread = rows.std(axis=0)
    rows = np.divide(rows - rows.mean(axis=0), spread, out=np.zeros_like(rows), where=spread > 0)
    if components is not None and min(rows.shape) > components:
        return principal_components(rows, components)
    return rows


def _distances(rows: Floats) -> Floats:
    """1 - the correlation of every pair of rows."""
    correlations: Floats = np.asarray(np.corrcoef(rows))
    # Equal rows of labels are ties: rounding must not order them.
    return (1 - correlations[np.triu_indices(len(rows), k=1)]).round(12)


def _rank_correlation(one: Floats, other: Floats) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(one, other).statistic)
