import dataclasses

import pytest
import torch
from torch import nn

from tests.functional.reference import Net, assert_close, data_of, head_of
from tests.functional.test_engines import EXACT, episode
from torchcross.errors import InputError, TorchcrossError
from torchcross.functional import (
    ENGINES,
    Inner,
    Meta,
    Network,
    Problem,
    adam,
    adapt,
    meta_gradient,
    meta_loss,
    sgd,
)


def leaf(value):
    return value.detach().clone().requires_grad_()


def batch(count=3, **options):
    first, meta = episode(**options)
    problems = [
        Problem(first.inner, data_of(seed), head_of(seed=seed), name=f"episode {seed}")
        for seed in range(count)
    ]
    params = {name: leaf(value) for name, value in meta.params.items()}
    return problems, Meta(params, leaf(meta.rates), meta.buffers)


def grads_of(problems, meta, **options):
    result = meta_loss(problems, meta, **options)
    params = {name: value for name, value in meta.params.items() if value.requires_grad}
    grads = torch.autograd.grad(result.loss, [*params.values(), meta.rates])
    return result, dict(zip([*params, "rate"], grads, strict=True))


@pytest.mark.parametrize("engine", [*EXACT, "first_order"])
def test_it_is_the_mean_of_the_episodes(engine):
    problems, meta = batch()
    result, grads = grads_of(problems, meta, engine=engine)
    each = [meta_gradient(problem, meta, engine=engine) for problem in problems]
    mean = {name: torch.stack([one.params[name] for one in each]).mean(0) for name in meta.params}
    mean["rate"] = torch.stack([one.rates["*"] for one in each]).mean()
    assert_close(grads, mean)
    torch.testing.assert_close(result.loss.detach(), torch.stack([one.loss for one in each]).mean())
    assert result.groups == ((0,), (1,), (2,))


@pytest.mark.parametrize("engine", [*EXACT, "first_order", "implicit"])
@pytest.mark.parametrize("policy", ["batch", "support", "running", "per_step"])
def test_lanes_are_the_loop(engine, policy):
    """The parity that catches torch 2.13's wrong derivative of batch_norm: norm weights are adapted
    here.
    """
    problems, meta = batch(policy=policy)
    loop, expected = grads_of(problems, meta, engine=engine, lanes="loop")
    lanes, grads = grads_of(problems, meta, engine=engine, lanes=2)
    assert lanes.groups == ((0, 1), (2,))
    assert_close(grads, expected)
    torch.testing.assert_close(lanes.losses, loop.losses, rtol=1e-10, atol=0)
    for ours, theirs in zip(lanes.buffers, loop.buffers, strict=True):
        for name, value in theirs.items():
            torch.testing.assert_close(ours[name], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("kind", ["momentum", "adam"])
@pytest.mark.parametrize("engine", EXACT)
def test_lanes_of_optimisers_with_a_zero_head(kind, engine):
    problems, meta = batch(kind=kind)
    inner = dataclasses.replace(problems[0].inner, zero_head="head.*")
    problems = [Problem(inner, problem.data, head_of(zero=True)) for problem in problems]
    _, expected = grads_of(problems, meta, engine=engine, lanes="loop")
    _, grads = grads_of(problems, meta, engine=engine, lanes=8)
    assert_close(grads, expected, 1e-8)


def test_lanes_with_dropout_masks():
    module = nn.Sequential(Net(), nn.Dropout(0.4))
    network = Network(module)
    params, buffers = network.state()
    inner = Inner(*with_masks(network), sgd(), 2)
    problems = []
    for index in range(3):
        data = data_of(index)
        draw = {"seed": 7, "episode": index}
        data["drop"] = network.masks(params, buffers, data["xs"], **draw, part=0, rows=2)
        data["drop_query"] = network.masks(params, buffers, data["xq"], **draw, part=1)
        problems.append(Problem(inner, data, head_of()))
    meta = Meta(
        {name: leaf(value) for name, value in params.items()}, leaf(torch.tensor(0.3)), buffers
    )
    _, expected = grads_of(problems, meta, lanes="loop")
    result, grads = grads_of(problems, meta, lanes=4)
    assert result.groups == ((0, 1, 2),)
    assert_close(grads, expected)


def with_masks(network):
    def support(params, buffers, data, step):
        features, buffers = network.support(
            params, buffers, data["xs"], step=step, masks=data["drop"]
        )
        logits = features @ params["head.weight"].T + params["head.bias"]
        return nn.functional.cross_entropy(logits, data["ys"]), buffers

    def query(params, buffers, data, step):
        statistics, buffers = network.statistics(params, buffers, data["xs"], step=step)
        features, buffers = network.query(
            params, buffers, data["xq"], statistics=statistics, step=step, masks=data["drop_query"]
        )
        logits = features @ params["head.weight"].T + params["head.bias"]
        return nn.functional.cross_entropy(logits, data["yq"]), buffers

    return support, query


def test_shapes_that_differ_are_grouped_and_order_does_not_matter():
    first, meta = episode()
    shapes = [(3, 6), (2, 4), (3, 6), (2, 4), (3, 9)]
    problems = [
        Problem(first.inner, data_of(at, ways, support), head_of(ways), name=str(at))
        for at, (ways, support) in enumerate(shapes)
    ]
    result = meta_loss(problems, meta, lanes=4)
    assert result.groups == ((0, 2), (1, 3), (4,))
    assert [len(trace) for trace in result.traces] == [4] * 5
    turned = meta_loss(problems[::-1], meta, lanes="loop")
    torch.testing.assert_close(turned.losses.flip(0), result.losses, rtol=1e-10, atol=0)


def test_hand_back_is_scaled_once_and_only_once():
    problems, meta = batch(1)
    _, expected = grads_of(problems, meta)
    result = meta_loss(problems, meta)
    (3 * result.loss).backward(retain_graph=True)
    assert_close(
        {name: value.grad for name, value in meta.params.items()},
        {n: 3 * expected[n] for n in meta.params},
    )
    with pytest.raises(TorchcrossError, match="no further derivative"):
        torch.autograd.grad(meta_loss(problems, meta).loss, meta.rates, create_graph=True)
    with pytest.raises(TorchcrossError, match="second backward"):
        result.loss.backward()


def test_weights_frozen_parameters_and_learned_heads():
    problems, meta = batch(2)
    meta.params["conv1.weight"].requires_grad_(False)
    heads = [{name: leaf(value) for name, value in problem.own.items()} for problem in problems]
    problems = [Problem(p.inner, p.data, own) for p, own in zip(problems, heads, strict=True)]
    result = meta_loss(problems, meta, weights=[2.0, 0.5])
    torch.testing.assert_close(result.loss.detach(), 2 * result.losses[0] + 0.5 * result.losses[1])
    result.loss.backward()
    assert meta.params["conv1.weight"].grad is None
    alone = meta_gradient(problems[1], meta)
    assert_close(
        {n: v.grad for n, v in heads[1].items()}, {n: 0.5 * v for n, v in alone.own.items()}
    )


@pytest.mark.parametrize("lanes", ["loop", 2])
@pytest.mark.parametrize("engine", ENGINES)
def test_without_gradients_only_the_value_is_computed(engine, lanes):
    problems, meta = batch()
    with torch.no_grad():
        value = meta_loss(problems, meta, engine=engine, lanes=lanes)
    expected = meta_loss(problems, meta, engine=engine).loss.detach()
    torch.testing.assert_close(value.loss, expected)
    assert (value.engine, value.order, value.loss.requires_grad) == ("value", 0, False)


@pytest.mark.slow
def test_nothing_given_is_changed():
    problems, meta = batch(policy="running")
    module_state = [
        value.detach().clone() for value in [*meta.params.values(), *meta.buffers.values()]
    ]
    data_state = [
        value.clone()
        for problem in problems
        for value in [*problem.data.values(), *problem.own.values()]
    ]
    state = torch.get_rng_state()
    for engine in [*EXACT, "first_order", "implicit"]:
        for lanes in ("loop", 3):
            meta_loss(problems, meta, engine=engine, lanes=lanes)
    adapt(problems[0], meta)
    after = [*meta.params.values(), *meta.buffers.values()]
    assert all(torch.equal(left, right) for left, right in zip(module_state, after, strict=True))
    after = [
        value for problem in problems for value in [*problem.data.values(), *problem.own.values()]
    ]
    assert all(torch.equal(left, right) for left, right in zip(data_state, after, strict=True))
    assert torch.equal(state, torch.get_rng_state())
    assert all(value.grad is None for value in meta.params.values())


def test_adapting_twice_gives_the_same_bits_and_ends_where_the_gradient_does():
    problems, meta = batch(1, policy="running")
    first, second = adapt(problems[0], meta), adapt(problems[0], meta)
    assert all(torch.equal(value, second.params[name]) for name, value in first.params.items())
    loss, _ = problems[0].inner.query(first.params, first.buffers, problems[0].data, 3)
    torch.testing.assert_close(loss, meta_gradient(problems[0], meta).loss)
    assert len(adapt(problems[0], meta, steps=7).trace) == 7
    assert not any(
        value.requires_grad for value in first.params.values() if value.grad_fn is not None
    )


@pytest.mark.parametrize("lanes", ["loop", 2])
def test_divergence_names_the_episode_and_the_step(lanes):
    problems, meta = batch(2)
    data = dict(problems[1].data)
    data["xs"] = data["xs"] * float("nan")
    bad = [problems[0], dataclasses.replace(problems[1], data=data)]
    with pytest.raises(
        TorchcrossError, match=r"episode 1.*support loss before inner step 1 of 3 is nan"
    ):
        meta_loss(bad, meta, lanes=lanes)


def test_divergence_of_the_rate():
    inner = Inner(
        lambda p, b, d, s: (p["x"].pow(4).sum(), b),
        lambda p, b, d, s: (p["x"].square().sum(), b),
        sgd(),
        9,
    )
    meta = Meta({"x": torch.ones(2)}, 100.0)
    with pytest.raises(TorchcrossError, match=r"before inner step \d of 9 is (nan|inf)"):
        meta_gradient(Problem(inner, {}), meta)
    with pytest.raises(TorchcrossError, match=r"before inner step \d of 9 is (nan|inf)"):
        adapt(Problem(inner, {}), meta)
    steep = dataclasses.replace(inner, support=lambda p, b, d, s: (p["x"].sqrt().sum(), b), steps=1)
    with pytest.raises(TorchcrossError, match="after step 1 parameter 'x' is not"):
        adapt(Problem(steep, {}), Meta({"x": torch.zeros(2)}, 0.1))


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return grad


def test_modules_that_an_engine_cannot_serve():
    problems, meta = batch(2)

    def once(params, buffers, data, step):
        loss, buffers = problems[0].inner.support(params, buffers, data, step)
        return Once.apply(loss) ** 2, buffers

    inner = Inner(once, problems[0].inner.query, sgd(), 2)
    problem = Problem(inner, problems[0].data, problems[0].own)
    for engine in ("reverse", "recompute"):
        with pytest.raises(
            InputError, match=f"'{engine}' cannot differentiate.*without a second derivative"
        ):
            meta_gradient(problem, meta, engine=engine)
    assert torch.isfinite(meta_gradient(problem, meta, engine="first_order").loss)

    def branching(params, buffers, data, step):
        loss, buffers = problems[0].inner.support(params, buffers, data, step)
        return (loss if loss > 0.5 else 2 * loss), buffers

    inner = Inner(branching, problems[0].inner.query, sgd(), 2)
    members = [Problem(inner, problem.data, problem.own) for problem in problems]
    with pytest.raises(InputError, match=r"in lanes cannot differentiate.*lanes='loop'"):
        meta_loss(members, meta, lanes=2)
    assert torch.isfinite(meta_loss(members, meta, lanes="loop").loss)


def test_errors():
    problems, meta = batch(1)
    inner, data, own = problems[0].inner, problems[0].data, problems[0].own
    with pytest.raises(InputError, match="at least one episode"):
        meta_loss([], meta)
    with pytest.raises(InputError, match="2 weights were given for 1"):
        meta_loss(problems, meta, weights=[1.0, 1.0])
    with pytest.raises(InputError, match="lanes must be"):
        meta_loss(problems, meta, lanes=0)
    with pytest.raises(InputError, match="no engine is called 'magic'"):
        meta_loss(problems, meta, engine="magic")
    with pytest.raises(InputError, match="both a shared and an own"):
        meta_gradient(Problem(inner, data, {**own, "conv1.weight": torch.ones(1)}), meta)
    with pytest.raises(InputError, match="is not zero"):
        meta_gradient(Problem(dataclasses.replace(inner, zero_head="head.weight"), data, own), meta)
    with pytest.raises(InputError, match="steps must be 0 or more"):
        dataclasses.replace(inner, steps=-1)
    with pytest.raises(InputError, match="one finite weight for each of 3"):
        dataclasses.replace(inner, query_weights=(1.0,))
    with pytest.raises(InputError, match=r"the adapted parameter .* has no rate"):
        meta_gradient(problems[0], dataclasses.replace(meta, rates={"conv1.weight": 0.1}))
    with pytest.raises(InputError, match=r"has shape \(3,\)"):
        meta_gradient(problems[0], dataclasses.replace(meta, rates=torch.ones(3)))
    stepped = dataclasses.replace(inner, optimiser=sgd(per_step=True))
    with pytest.raises(InputError, match="at least the 3 inner steps"):
        meta_gradient(Problem(stepped, data, own), dataclasses.replace(meta, rates=torch.ones(2)))
    with pytest.raises(InputError, match="eps must be above 0"):
        adam(eps=0.0)
