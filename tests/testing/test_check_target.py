"""`check_target` passes our targets, and names what is broken in others."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from torchcross import losses
from torchcross.errors import InputError
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal
from torchcross.testing import check_target, target_check

OURS = (
    Binary({2: "no", 7: "yes"}, missing=[-1]),
    MultiClass(["a", "b", "c"]),
    MultiLabel(["x", "y"]),
    MultiLabel(["x"]),
    Ordinal({0: "none", 1: "some", 4: "much"}),
    MultiClass([f"class {number}" for number in range(20)]),
    MultiLabel(list("abcdef")),
    MultiLabel(list("abcdefghijkl")),
    Ordinal([f"grade {number}" for number in range(18)]),
)


@pytest.mark.slow
@pytest.mark.parametrize("target", OURS, ids=repr)
def test_ours_pass(target):
    check_target(target)


def objective_with(**changes):
    own = MultiClass.objectives["cross_entropy"]
    return {"objectives": {"cross_entropy": replace(own, **changes)}}


def wrong_sign(logits, labels, target, **options):
    return -losses.cross_entropy(logits, labels)


def counts_missing(logits, labels, target, **options):
    return losses.cross_entropy(logits, labels.clamp(min=0))


def detached(logits, labels, target, **options):
    return losses.cross_entropy(logits, labels) + logits.detach().square().mean()


def two_losses(logits, labels, target, **options):
    return losses.cross_entropy(logits, labels).expand(2)


def undefined_metric(target, prediction, labels):
    from torchcross.metrics import Score

    return Score(float("nan"), "I do not know")


BROKEN = {
    "takes strangers": (
        {"encode": lambda self, labels, name="labels": np.asarray(labels).astype(np.int64)},
        "encode accepts a label that is none of its values",
    ),
    "decodes otherwise": (
        {"decode": lambda self, codes: (np.asarray(codes) + 1) % 3},
        r"encode\(decode\(codes\)\) are not the codes",
    ),
    "wrong strata": ({"strata": lambda self, codes: codes}, r"strata\(codes\) is a ndarray"),
    "wrong sign": (objective_with(loss=wrong_sign), "do not decide for the right classes"),
    "counts missing labels": (objective_with(loss=counts_missing), "label is missing"),
    "hides a part": (objective_with(loss=detached), "finite differences"),
    "two losses": (objective_with(loss=two_losses), "give a finite scalar"),
    "odds": (objective_with(probabilities=torch.exp), "outside 0..1"),
    "sigmoids": (objective_with(probabilities=torch.sigmoid), "do not sum to 1"),
    "least likely": (
        objective_with(decisions=lambda logits: logits.argmin(-1)),
        "do not decide for the right classes",
    ),
    "wide heads": (
        objective_with(from_scores=lambda scores: scores.repeat(1, 2)),
        r"prototype_logits have shape \(16, 6\); its loss takes \(16, 3\)",
    ),
    "turned scores": (objective_with(from_scores=torch.neg), "no better AUROC"),
    "no such metric": ({"default_metrics": ("kappa",)}, "'kappa' is not among its metrics"),
    "undefined": ({"metrics": {"f1": undefined_metric}, "default_metrics": ("f1",)}, "undefined"),
    "own order": (
        {"relabel": lambda self, codes, classes: np.zeros(len(codes), dtype=np.int64)},
        r"relabel\(codes",
    ),
    "no kind": ({"kind": 3}, "`kind` is no text"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_named(name, monkeypatch):
    changes, words = BROKEN[name]
    target = MultiClass(["a", "b", "c"])
    for attribute, value in changes.items():
        monkeypatch.setattr(MultiClass, attribute, value)
    with pytest.raises(AssertionError, match=words):
        check_target(target)


def never_last(logits):
    return logits[:, :-1].argmax(-1)


def deaf_to_last(logits, labels, target=None, **options):
    return losses.multilabel_binary_cross_entropy(logits[:, :-1], labels[:, :-1])


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        (MultiClass([f"class {number}" for number in range(20)]), {"decisions": never_last}),
        (MultiLabel(list("abcdef")), {"loss": deaf_to_last}),
    ],
    ids=["the last of 20 classes", "the last of 6 labels"],
)
def test_the_last_of_many_classes_counts(monkeypatch, target, parts):
    kind, name = type(target), target.default_loss
    own = {name: replace(kind.objectives[name], **parts)}
    monkeypatch.setattr(kind, "objectives", own)
    with pytest.raises(AssertionError, match="do not decide for the right classes"):
        check_target(target)


@pytest.mark.parametrize("labels", [1, 3, 4, 5, 6, 9])
def test_each_label_is_present_and_absent(labels):
    codes = target_check._codes(MultiLabel([f"label {place}" for place in range(labels)]))
    assert set(codes.sum(0).tolist()) <= set(range(1, len(codes)))
    assert len({tuple(column) for column in codes.T.tolist()}) == labels


@pytest.mark.parametrize("wrong", [MultiClass, "MultiClass", None])
def test_what_is_no_target_is_refused(wrong):
    with pytest.raises(InputError, match=r'check_target takes a target .* MultiClass\(\["a"'):
        check_target(wrong)
