"""`certify` on every algorithm of the table, on wrong ones, and where it cannot tell."""

import dataclasses

import pytest
import torch
from torch import nn

import torchcross as tx
from tests.algorithms.cases import (
    ALGORITHMS,
    ENSEMBLES,
    TARGETS,
    WIDTH,
    Net,
    episode_of,
    make_algorithm,
    same,
    snapshot,
)
from torchcross.algorithms import (
    MAML,
    Algorithm,
    Certificate,
    InnerLoopAlgorithm,
    LinearProbe,
    MultiTask,
    ProtoNet,
    Reptile,
    Step,
    certify,
)
from torchcross.errors import InputError
from torchcross.functional import CertificateRow
from torchcross.task import Task
from torchcross.testing.surroundings import generators_left_alone

FIRST_ORDER = ("maml-first-order", "fine-tune", "fine-tune-proto", "fine-tune-logistic")
CLAIMS = {**dict.fromkeys((*FIRST_ORDER, "linear-probe"), 1), "reptile": None}
NOT_BY_DIFFERENCES = (*CLAIMS, "imaml")
NO_INNER_LOOP = (
    *("reptile", "protonet", "ridge", "logistic", "simple-shot", "image-statistics"),
    "text",
)


class TenthTooMuch(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return 1.1 * grad


class WrongLoss(InnerLoopAlgorithm):
    """MAML whose query loss has a wrong derivative."""

    def __init__(self, net):
        super().__init__(net, MAML(net, steps=1).recipe)

    def _make_inner_loop(self, target, steps, weights):
        inner = super()._make_inner_loop(target, steps, weights)

        def query(params, buffers, data, step):
            loss, fresh = inner.query(params, buffers, data, step)
            return TenthTooMuch.apply(loss), fresh

        return dataclasses.replace(inner, query=query)


class WrongStep(WrongLoss):
    """MAML whose training step hands over something else than its meta-gradient."""

    def _make_inner_loop(self, target, steps, weights):
        return InnerLoopAlgorithm._make_inner_loop(self, target, steps, weights)

    def training_step(self, episodes, **asked):
        step = super().training_step(episodes, **asked)
        return dataclasses.replace(step, loss=TenthTooMuch.apply(step.loss))


class OwnRule(Algorithm):
    """An algorithm that only has a training step; `factor` makes it wrong."""

    def __init__(self, factor=1.0, order=2):
        super().__init__()
        self.backbone, self.order, self.wrong = Net(), order, factor != 1.0

    def training_step(self, episodes, *, epoch=None, seed=0, indices=None):
        features = torch.stack(
            [self.backbone.conv1(episode.support.x).tanh().square().mean() for episode in episodes]
        )
        loss = features.mean()
        return Step(
            TenthTooMuch.apply(loss) if self.wrong else loss,
            features.detach(),
            {},
            "mine",
            self.order,
        )

    def adapt(self, support, task, **asked):
        raise AssertionError("a certificate needs training steps alone")

    def protocol(self):
        return {}


def episodes_of(*targets):
    return [episode_of(TARGETS[target], seed) for seed, target in enumerate(targets)]


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name not in ENSEMBLES])
def test_every_algorithm_holds_what_it_claims(name):
    learner = make_algorithm(name, "multiclass")
    before = snapshot(learner)
    with generators_left_alone("certify"):
        certificate = certify(
            learner, episodes_of("multiclass", "multiclass"), directions=1, epoch=5
        )
    assert same(before, snapshot(learner))
    assert certificate.holds, str(certificate)
    assert certificate.order == CLAIMS.get(name, 2)
    differences = [row for row in certificate.rows if "differences" in row.name]
    assert certificate.differences_count is (name not in NOT_BY_DIFFERENCES)
    assert all(
        row.holds is (True if certificate.differences_count else None) for row in differences
    )
    assert any("closed form" in row.name for row in certificate.rows) is not (
        name.startswith(NO_INNER_LOOP)
    )


def test_made_up_episodes_are_of_every_target_type():
    certificate = tx.certify(MAML(Net(), steps=1), directions=1)
    names = [row.name.partition(":")[0] for row in certificate.rows if "differences" in row.name]
    assert names == sorted(
        target.kind
        for target in map(TARGETS.get, ("binary", "multiclass", "multilabel", "ordinal"))
    )
    assert certificate.holds


@pytest.mark.parametrize("make", [tx.backbones.conv4, tx.backbones.small_vit])
def test_a_float32_backbone_of_the_library_is_looked_at_in_float64(make):
    backbone = (
        make(8, in_channels=1)
        if make is tx.backbones.conv4
        else make(image_size=16, width=12, depth=1, heads=2)
    )
    certificate = certify(ProtoNet(backbone), directions=1)
    assert certificate.holds, str(certificate)
    exact = [row.error for row in certificate.rows if "float32" not in row.name]
    assert max(exact) < 1e-6
    assert next(backbone.parameters()).dtype == torch.float32


@pytest.mark.parametrize(
    ("wrong", "row"), [(WrongLoss, "differences"), (WrongStep, "training step")]
)
def test_a_wrong_algorithm_is_refused(wrong, row):
    certificate = certify(wrong(Net()), episodes_of("binary", "multiclass"), directions=1)
    assert not certificate.holds
    assert "WRONG" in str(certificate)
    assert "does not hold" in str(certificate)
    failed = [found for found in certificate.rows if found.holds is False]
    assert failed
    assert all(row in found.name for found in failed)
    assert all(found.error == pytest.approx(0.1, rel=0.2) for found in failed)


def test_an_algorithm_with_nothing_but_a_step():
    episodes = episodes_of("binary")
    right = certify(OwnRule(), episodes)
    assert right.holds
    assert len(right.rows) == 2
    wrong = certify(OwnRule(factor=1.1), episodes)
    assert not wrong.holds
    assert [row.holds for row in wrong.rows] == [False, False]
    modest = certify(OwnRule(factor=1.1, order=1), episodes)
    assert modest.holds
    assert "not claimed" in str(modest)


def test_pretraining_has_a_plain_gradient():
    tasks = [Task("holes", TARGETS["binary"]), Task("shapes", TARGETS["multilabel"])]
    certificate = certify(MultiTask(Net(), tasks, features=WIDTH), directions=1)
    assert certificate.holds
    assert [row.name.partition(":")[0] for row in certificate.rows] == ["holes", "shapes"]
    assert "plain gradient" in certificate.claim


def test_reptile_says_that_it_claims_none():
    certificate = certify(Reptile(Net(), steps=2), episodes_of("binary"))
    assert (certificate.rows, certificate.order, certificate.holds) == ((), None, True)
    assert "no meta-gradient is claimed" in str(certificate)
    assert "nothing to check" in str(certificate)


def test_kinks_are_reported_and_do_not_count_as_proof():
    class Sawtooth(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.full((WIDTH, 1), 1e-8, dtype=torch.float64))

        def forward(self, x):
            pixels = x.flatten(1).mean(1, keepdim=True)
            # Kinks at every multiple of a distance that is smaller than any difference.
            saw = (self.weight.T / 3e-8).frac().abs() * 3e-8
            return pixels * (1 + saw)

    certificate = certify(
        ProtoNet(Sawtooth(), features=WIDTH), episodes_of("multiclass"), directions=2
    )
    differences = [row for row in certificate.rows if "differences" in row.name]
    assert all(row.holds is None and "kink" in row.note for row in differences), str(certificate)
    assert certificate.is_undecided
    assert not certificate.holds
    assert "cannot tell" in str(certificate)
    assert "undecided" in str(certificate)


def test_where_nothing_is_trained_nothing_is_claimed():
    certificate = certify(LinearProbe(Net().requires_grad_(False)), episodes_of("binary"))
    assert (certificate.rows, certificate.holds) == ((), True)
    assert "no parameter requires a gradient" in str(certificate)


def test_made_up_episodes_that_do_not_suit():
    large = nn.Sequential(nn.Conv2d(3, 2, 40), nn.Flatten())
    with pytest.raises(InputError, match=r"images of shape \(3, 16, 16\).*pass episodes="):
        certify(ProtoNet(large))
    with pytest.raises(InputError, match=r"no learned head for the task 'binary'.*pass episodes="):
        certify(make_algorithm("maml-learned-head", "multiclass"))


def test_the_table_is_aligned():
    rows = (
        CertificateRow("short", "reverse", 2, 1e-10, 1e-6, True),
        CertificateRow("a longer name", "reverse", 2, 0.5, 1e-6, False),
    )
    lines = str(Certificate("MAML", "'reverse'", 2, "exact", rows)).splitlines()
    assert lines == [
        "MAML, engine 'reverse': exact",
        "  check          order  rel. error  tolerance  verdict",
        "  short              2     1.0e-10      1e-06  holds",
        "  a longer name      2     5.0e-01      1e-06  WRONG",
        "verdict: does not hold, 1 of 2 checks failed",
    ]


def test_what_certify_cannot_use():
    with pytest.raises(InputError, match=r"got Net; give an algorithm, such as MAML\(backbone\)"):
        certify(Net())
    with pytest.raises(InputError, match="no episodes"):
        certify(LinearProbe(Net()), [])
    with pytest.raises(InputError, match="directions=0"):
        certify(LinearProbe(Net()), directions=0)
    stubborn = LinearProbe(Net())
    stubborn.generator = (number for number in range(3))
    with pytest.raises(InputError, match=r"cannot be copied.*generator"):
        certify(stubborn)


def _row(name, holds):
    return CertificateRow(name, "reverse", 2, 1e-10, 1e-6, holds, "" if holds else "a kink nearby")


@pytest.mark.parametrize(
    ("params", "rates", "undecided"),
    [
        ((None, None), (True,), "of params"),
        ((None, True), (None,), "of rates"),
        ((None, True), (True, None), ""),
    ],
)
def test_each_kind_of_differences_needs_a_row_that_tells(params, rates, undecided):
    rows = [_row(f"a: finite differences, params {at}", holds) for at, holds in enumerate(params)]
    rows += [_row(f"b: finite differences, rates {at}", holds) for at, holds in enumerate(rates)]
    certificate = Certificate(
        "MetaSGD", "'reverse'", 2, "exact", (*rows, _row("training step", True)), True
    )
    assert (certificate.is_undecided, certificate.holds) == (bool(undecided), not undecided)
    assert undecided in str(certificate)
