"""LEEP, NCE and NLEEP: what the classes of a source tell about the labels of a target.

LEEP and NCE take what the source's own head says of the target's images: probabilities of the
source's classes, (N, S). NLEEP needs no head: it groups the features by a mixture of Gaussians.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from torchcross._kit.argument_checks import as_int
from torchcross.errors import InputError
from torchcross.metrics.score import Score, undefined_score
from torchcross.targets import Target
from torchcross.transfer.scores.answers import (
    Answer,
    Floats,
    checked_features,
    score_by_answer,
    score_of_features,
)
from torchcross.transfer.scores.singular_values import principal_components

_COMPONENTS_PER_CLASS = 5
_VARIANCE_KEPT = 0.8


def leep(probabilities: ArrayLike, labels: ArrayLike, target: Target) -> Score:
    """The mean log-likelihood of the labels, given the source's classes (Nguyen et al. 2020).

    At most 0. A source that says the same of all samples scores minus the entropy of the labels.
    """
    states = checked_probabilities(probabilities)
    return score_by_answer(states, labels, target, _leep)


def _leep(states: Floats, answer: Answer) -> Score:
    joint = answer.one_hot().T @ states
    totals = joint.sum(axis=0)
    conditional = np.divide(joint, totals, out=np.zeros_like(joint), where=totals > 0)
    likelihood = np.take_along_axis(states @ conditional.T, answer.codes[:, None], axis=1)
    return Score(float(np.log(likelihood).mean()))


def nce(probabilities: ArrayLike, labels: ArrayLike, target: Target) -> Score:
    """Minus the entropy of the labels, given the source's likeliest class (Tran et al. 2019)."""
    states = checked_probabilities(probabilities)
    likeliest = states.argmax(axis=1).astype(np.float64)[:, None]
    return score_by_answer(likeliest, labels, target, _nce)


def _nce(likeliest: Floats, answer: Answer) -> Score:
    states = likeliest[:, 0].astype(np.int64)
    count = int(states.max()) + 1
    pairs = np.bincount(answer.codes * count + states, minlength=answer.num_classes * count)
    joint = pairs.reshape(answer.num_classes, count) / len(states)
    conditional = np.divide(joint, joint.sum(axis=0), out=np.ones_like(joint), where=joint > 0)
    return Score(float((joint * np.log(conditional)).sum()))


def nleep(
    features: ArrayLike,
    labels: ArrayLike,
    target: Target,
    *,
    components_per_class: int = _COMPONENTS_PER_CLASS,
    seed: int = 0,
) -> Score:
    """LEEP of the groups that a mixture of Gaussians finds in the features (Li et al. 2021).

    The features are taken in the principal components that hold 80 % of their variance. The
    mixture has five Gaussians with diagonal covariances for each class, and starts by `seed`.
    """
    per_class = as_int("components_per_class", components_per_class)

    def score(rows: Floats, answer: Answer) -> Score:
        groups = per_class * answer.num_classes
        if groups > len(rows):
            return undefined_score(
                f"{groups} Gaussians, {per_class} for each class, need as many samples, and there"
                f" are {len(rows)}; give fewer components_per_class"
            )
        components = _components(rows)
        different = len(np.unique(components.round(12), axis=0))
        if different < groups:
            return undefined_score(
                f"{groups} Gaussians, {per_class} for each class, need as many different samples,"
                f" and there are {different} but for rounding; give fewer components_per_class"
            )
        return _leep(_memberships(components, groups, seed), answer)

    return score_of_features(features, labels, target, score)


def _components(rows: Floats) -> Floats:
    """In units of the largest one, so that the guard of the variances does not know the scale."""
    components = principal_components(rows, min(rows.shape))
    variances = components.var(axis=0)
    shares = np.cumsum(variances) / variances.sum()
    kept = int(np.searchsorted(shares, _VARIANCE_KEPT)) + 1
    largest: Floats = components[:, :kept] / np.sqrt(variances[0])
    return largest


def _memberships(components: Floats, groups: int, seed: int) -> Floats:
    """The probability of every Gaussian, for every sample."""
    from sklearn.mixture import GaussianMixture

    mixture = GaussianMixture(groups, covariance_type="diag", random_state=seed)
    memberships: Floats = mixture.fit(components).predict_proba(components)
    return memberships


def checked_probabilities(probabilities: ArrayLike) -> Floats:
    """Return probabilities (N, S) of source classes as float64, each row of sum 1."""
    states = checked_features(probabilities, "probabilities")
    sums = states.sum(axis=1)
    if states.min() < 0 or np.abs(sums - 1).max() > 1e-4:
        wrong = (states < 0).any(axis=1) | (np.abs(sums - 1) > 1e-4)
        first = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{int(wrong.sum())} of {len(states)} rows are no probabilities of source classes: row"
            f" {first} has the sum {sums[first]:.6g} and the smallest value"
            f" {states[first].min():.6g}. Give the softmax of the source's head, or"
            " states_of_labels(...) for a source with several labels"
        )
    normalised: Floats = states / sums[:, None]
    return normalised


def states_of_labels(probabilities: ArrayLike) -> Floats:
    """Probabilities (N, L) of the labels of a multi-label source -> of its 2 L states.

    Each label is a source of two classes, and each has an equal share.
    """
    each = checked_features(probabilities, "probabilities")
    if each.min() < 0 or each.max() > 1:
        raise InputError(
            f"probabilities of labels lie in {each.min():.6g}..{each.max():.6g}; give values from 0"
            " to 1, as a sigmoid returns them"
        )
    states: Floats = np.concatenate([each, 1 - each], axis=1) / each.shape[1]
    return states
