"""In float64, meta-gradients equal those of `higher` and `learn2learn`.

Where the peers cannot be installed, these tests fail: they never skip.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.peers.child import Arrays
from tests.peers.meta_gradients import (
    CASES,
    IMAGES,
    PEERS,
    RATE,
    WAYS,
    WIDTH,
    Case,
    Params,
    backbone,
)
from torchcross import Batch, Episode, Task
from torchcross.algorithms import MAML
from torchcross.algorithms._shared.inner_loop_recipe import Memory
from torchcross.functional import Inner, Meta, Network, Problem, meta_gradient, meta_loss, sgd
from torchcross.targets import MultiClass

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("meta_gradients.py")
SUPPORT, QUERY = 9, 6
ENGINES = {1: ["first_order"], 2: ["reverse", "recompute", "mixed"]}
IN_FUNCTIONAL = [(case, engine) for case in CASES for engine in ENGINES[case.order]]
# First order is one engine already: it has no lean form.
MEMORIES: dict[int, list[Memory]] = {1: ["fast"], 2: ["fast", "low"]}
OF_MAML = [
    (case, memory) for case in CASES if case.head == "zero" for memory in MEMORIES[case.order]
]


@pytest.fixture(scope="module")
def inputs() -> Params:
    """Data and initial values, by the peers' names."""
    generator = torch.Generator().manual_seed(7)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    data = {"xs": drawn(SUPPORT, *IMAGES), "xq": drawn(QUERY, *IMAGES)}
    data |= {"ys": torch.arange(SUPPORT) % WAYS, "yq": torch.arange(QUERY) % WAYS}
    shapes = {
        f"0.{name}": value
        for normed in (True, False)
        for name, value in backbone(normed=normed).named_parameters()
    }
    values = {name: drawn(*value.shape) * 0.4 + (value.ndim == 1) for name, value in shapes.items()}
    return {**data, **values, "1.weight": drawn(WAYS, WIDTH) * 0.5, "1.bias": drawn(WAYS) * 0.1}


@pytest.fixture(scope="module")
def theirs(in_peers: Callable[..., Arrays], inputs: Params) -> Arrays:
    return in_peers(SCRIPT, **{name: value.numpy() for name, value in inputs.items()})


def assert_equal(theirs: Arrays, case: Case, loss: Tensor, grads: dict[str, Any]) -> None:
    """To 1e-9 of the whole gradient's norm: single true gradients are zero (a bias before
    BatchNorm).
    """
    for peer in PEERS:
        start = f"{peer}/{case}/"
        expected = {
            name.removeprefix(start): value
            for name, value in theirs.items()
            if name.startswith(start)
        }
        np.testing.assert_allclose(
            loss.detach().numpy(), expected.pop("loss"), rtol=1e-9, err_msg=peer
        )
        expected = {name: value for name, value in expected.items() if name in grads}
        assert len(expected) == len(grads) > 0
        scale = np.sqrt(sum(np.square(value).sum() for value in expected.values()))
        assert scale > 1e-3
        gaps = {
            name: np.linalg.norm(grads[name].numpy() - value) / scale
            for name, value in expected.items()
        }
        assert max(gaps.values()) < 1e-9, (peer, gaps)


def body_of(case: Case, inputs: Params) -> torch.nn.Sequential:
    body = backbone(normed=case.normed)
    body.load_state_dict(
        {name: inputs[f"0.{name}"] for name, _ in body.named_parameters()}, strict=False
    )
    return body


def problem_of(case: Case, inputs: Params) -> tuple[Problem, Meta]:
    network = Network(body_of(case, inputs))

    def loss_of(params: Params, features: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(
            F.linear(features, params["head.weight"], params["head.bias"]), labels
        )

    def support(params: Params, buffers: Params, data: Params, step: int) -> tuple[Tensor, Params]:
        features, buffers = network.support(params, buffers, data["xs"], step=step)
        return loss_of(params, features, data["ys"]), buffers

    def query(params: Params, buffers: Params, data: Params, step: int) -> tuple[Tensor, Params]:
        features, buffers = network.query(params, buffers, data["xq"], statistics={}, step=step)
        return loss_of(params, features, data["yq"]), buffers

    zero = case.head == "zero"
    inner = Inner(support, query, sgd(), case.steps, zero_head="head.*" if zero else None)
    head = {f"head.{name}": inputs[f"1.{name}"] for name in ("weight", "bias")}
    own = {name: torch.zeros_like(value) if zero else value for name, value in head.items()}
    params, buffers = network.state()
    return Problem(inner, {name: inputs[name] for name in ("xs", "ys", "xq", "yq")}, own), Meta(
        params, RATE, buffers
    )


@pytest.mark.parametrize(("case", "engine"), IN_FUNCTIONAL, ids=str)
def test_engines_equal_the_peers(case: Case, engine: str, inputs: Params, theirs: Arrays) -> None:
    problem, meta = problem_of(case, inputs)
    result = meta_gradient(problem, meta, engine=engine)
    heads = {name.replace("head", "1"): grad for name, grad in result.own.items()}
    assert_equal(
        theirs,
        case,
        result.loss,
        {f"0.{name}": grad for name, grad in result.params.items()} | heads,
    )


def test_a_meta_batch_in_lanes_equals_the_peers(inputs: Params, theirs: Arrays) -> None:
    case = Case(normed=True, steps=3, order=2, head="given")
    problem, meta = problem_of(case, inputs)
    result = meta_loss([problem, problem], meta, lanes=2)
    assert result.groups == ((0, 1),)
    result.loss.backward()  # type: ignore[no-untyped-call]
    assert_equal(
        theirs, case, result.loss, {f"0.{name}": value.grad for name, value in meta.params.items()}
    )


@pytest.mark.parametrize(("case", "memory"), OF_MAML, ids=str)
def test_maml_with_a_zero_head_equals_the_peers(
    case: Case, memory: Memory, inputs: Params, theirs: Arrays
) -> None:
    body = body_of(case, inputs)
    support, query = (Batch(inputs[f"x{part}"], inputs[f"y{part}"]) for part in "sq")
    episode = Episode(support, query, Task("small", MultiClass(["a", "b", "c"])))
    maml = MAML(body, steps=case.steps, lr=RATE, head="zero", order=case.order, memory=memory)
    loss = maml.meta_loss([episode])
    loss.backward()  # type: ignore[no-untyped-call]
    assert_equal(
        theirs, case, loss, {f"0.{name}": value.grad for name, value in body.named_parameters()}
    )
