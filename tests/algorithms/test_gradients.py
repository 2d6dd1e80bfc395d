"""The gradient of every algorithm's meta-loss equals that of a plain, written-out loop."""

import copy

import pytest
import torch
from torch.func import functional_call

from tests.algorithms.cases import (
    NOT_LINEAR,
    TARGETS,
    Net,
    episode_of,
    learned_heads,
    make_algorithm,
    relative,
)
from torchcross.algorithms import ANIL, BOIL, IMAML, MAML, MetaSGD, ProtoMAML, Reptile
from torchcross.functional import FirstOrder, certify_problem, estimate
from torchcross.heads import kaiming_head, seeded_generator

EXACT = 1e-9


def features_of(net, params, images):
    """A forward in training or evaluation mode, on copies of the buffers."""
    buffers = {name: value.clone() for name, value in net.named_buffers()}
    own = {name: value for name, value in params.items() if not name.startswith("head.")}
    return functional_call(net, {**own, **buffers}, (images,))


def logits_of(target, features, params):
    """The three layouts of a head, by hand."""
    scores = features @ params["head.weight"].T
    if target.loss_name == "cumulative_link":
        return torch.cat([scores, params["head.bias"].expand(len(scores), -1)], 1)
    return scores + params["head.bias"]


def head_shape(target):
    """(rows of weights, biases)."""
    rows = {"coral": 1, "cumulative_link": 1}.get(target.loss_name, target.num_outputs)
    return rows, target.num_outputs - (target.loss_name == "cumulative_link")


def zeros_head(target):
    rows, biases = head_shape(target)
    return {"head.weight": torch.zeros(rows, 4).double(), "head.bias": torch.zeros(biases).double()}


def random_head(target):
    return kaiming_head(target, 4, generator=seeded_generator(0, "head", 0), dtype=torch.float64)


def means_head(target):
    """W_c = 2 mu_c, b_c = -|mu_c|^2, and their differences for one logit and yes/no answers."""

    def head(net, params, episode):
        x, y = features_of(net, params, episode.support.x), episode.support.y
        if target.label_shape:
            pairs = [
                [x[y[:, label] == answer].mean(0) for answer in (1, 0)]
                for label in range(y.shape[1])
            ]
            weight = torch.stack([2 * (yes - no) for yes, no in pairs])
            bias = torch.stack([no @ no - yes @ yes for yes, no in pairs])
        else:
            means = torch.stack([x[y == code].mean(0) for code in range(target.num_classes)])
            weight, bias = 2 * means, -(means * means).sum(1)
            if target.num_outputs == 1:
                weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
        return {"head.weight": weight, "head.bias": bias}

    return head


def plain_loss(
    net,
    episode,
    *,
    steps,
    head,
    rate=lambda name, k: 0.1,
    adapted=lambda name: True,
    order=2,
    momentum=0.0,
):
    """The query loss after `steps` updates, differentiable in the net's parameters."""
    target, params = episode.task.target, dict(net.named_parameters())
    params |= head(net, params, episode) if callable(head) else head
    # Views: a head that was made of the parameters is a parameter of its own to the inner gradient.
    params = {
        name: value if value.requires_grad else value.clone().requires_grad_()
        for name, value in params.items()
    }
    params = {name: value.view_as(value) for name, value in params.items()}
    velocity = dict.fromkeys(params, 0.0)
    for k in range(steps):
        loss = target.loss(
            logits_of(target, features_of(net, params, episode.support.x), params),
            episode.support.y,
        )
        moving = [name for name in params if adapted(name)]
        at = [params[name] for name in moving]
        grads = torch.autograd.grad(loss, at, create_graph=order == 2, retain_graph=True)
        for name, grad in zip(moving, grads, strict=True):
            velocity[name] = grad + momentum * velocity[name]
            params[name] = params[name] - rate(name, k) * velocity[name]
    return target.loss(
        logits_of(target, features_of(net, params, episode.query.x), params), episode.query.y
    )


def check(algorithm, episode, reference, learned=(), tolerance=EXACT):
    targets = [
        *algorithm.backbone.named_parameters(),
        *((f"learned {at}", value) for at, value in enumerate(learned)),
    ]
    for _, value in targets:
        value.grad = None
    reference.backward()
    expected = [
        torch.zeros_like(value) if value.grad is None else value.grad.clone()
        for _, value in targets
    ]
    algorithm.zero_grad(set_to_none=True)
    algorithm.meta_loss([episode]).backward()
    largest = max(float(grad.abs().max()) for grad in expected)
    assert largest > 1e-8
    for (name, value), grad in zip(targets, expected, strict=True):
        error = float((value.grad - grad).abs().max())
        assert error <= tolerance * max(float(grad.abs().max()), 1e-3 * largest), name


def body(name):
    return not name.startswith("head.")


def head(name):
    return name.startswith("head.")


all_targets = pytest.mark.parametrize("target", TARGETS)
linear_targets = pytest.mark.parametrize(
    "target", [name for name in TARGETS if name not in NOT_LINEAR]
)


@pytest.mark.slow
@all_targets
@pytest.mark.parametrize("engine", ["reverse", "recompute", "mixed"])
def test_maml(engine, target):
    episode = episode_of(TARGETS[target])
    algorithm = MAML(Net(), steps=3, engine=engine)
    check(
        algorithm,
        episode,
        plain_loss(algorithm.backbone, episode, steps=3, head=zeros_head(TARGETS[target])),
    )


@all_targets
def test_low_memory_is_exact(target):
    episode = episode_of(TARGETS[target])
    algorithm = MAML(Net(), steps=2, memory="low", head="kaiming")
    assert algorithm.training_step([episode]).engine == "recompute"
    check(
        algorithm,
        episode,
        plain_loss(algorithm.backbone, episode, steps=2, head=random_head(TARGETS[target])),
    )


@all_targets
def test_first_order_is_the_detached_loop(target):
    episode = episode_of(TARGETS[target])
    algorithm = MAML(Net(), steps=3, order=1, head="kaiming")
    reference = plain_loss(
        algorithm.backbone, episode, steps=3, head=random_head(TARGETS[target]), order=1
    )
    check(algorithm, episode, reference)


def test_first_order_until_an_epoch():
    episode = episode_of(TARGETS["multiclass"])
    algorithm = MAML(Net(), steps=2, first_order_epochs=3)
    assert [algorithm.training_step([episode], epoch=epoch).order for epoch in (0, 2, 3)] == [
        1,
        1,
        2,
    ]


@all_targets
def test_anil_and_boil(target):
    episode = episode_of(TARGETS[target])
    algorithm = ANIL(Net(), steps=3)
    assert algorithm.keeps_features
    reference = plain_loss(
        algorithm.backbone, episode, steps=3, head=zeros_head(TARGETS[target]), adapted=head
    )
    check(algorithm, episode, reference)
    algorithm = BOIL(Net(), steps=2)
    reference = plain_loss(
        algorithm.backbone, episode, steps=2, head=random_head(TARGETS[target]), adapted=body
    )
    check(algorithm, episode, reference)


@linear_targets
def test_prototype_heads(target):
    episode, start = episode_of(TARGETS[target]), means_head(TARGETS[target])
    algorithm = ProtoMAML(Net(), steps=2, lr=0.1)
    check(algorithm, episode, plain_loss(algorithm.backbone, episode, steps=2, head=start))
    algorithm = ANIL(Net(), steps=2, head="proto")
    check(
        algorithm,
        episode,
        plain_loss(algorithm.backbone, episode, steps=2, head=start, adapted=head),
    )


@all_targets
def test_learned_heads(target):
    episode, heads = episode_of(TARGETS[target]), learned_heads(TARGETS[target])
    own = heads.of(episode.task)
    algorithm = MAML(Net(), steps=2, head=heads)
    reference = plain_loss(algorithm.backbone, episode, steps=2, head=own)
    check(algorithm, episode, reference, learned=own.values())


@all_targets
def test_learned_rates_and_momentum(target):
    episode = episode_of(TARGETS[target])
    algorithm = MetaSGD(Net(), steps=2)
    with torch.no_grad():
        for at, rate in enumerate(algorithm.rates.parameters()):
            rate.mul_(0.5 + 0.1 * at)
    rates = algorithm.rates.table()
    reference = plain_loss(
        algorithm.backbone,
        episode,
        steps=2,
        head=zeros_head(TARGETS[target]),
        rate=lambda name, k: rates[name],
    )
    check(algorithm, episode, reference, learned=algorithm.rates.parameters())
    algorithm = MAML(Net(), steps=3, optimiser="momentum")
    zero = zeros_head(TARGETS[target])
    check(
        algorithm,
        episode,
        plain_loss(algorithm.backbone, episode, steps=3, head=zero, momentum=0.9),
    )


@all_targets
def test_rates_per_layer_and_step(target):
    episode = episode_of(TARGETS[target])
    algorithm = MAML(Net(), steps=3, rates="per_layer_step")
    with torch.no_grad():
        for at, rate in enumerate(algorithm.rates.parameters()):
            rate.mul_(torch.tensor([1.0, 0.5, 2.0]) + 0.1 * at)
    assert len(list(algorithm.rates.parameters())) == 5
    rates = algorithm.rates.table()
    assert rates["conv1.weight"] is rates["conv1.bias"]
    reference = plain_loss(
        algorithm.backbone,
        episode,
        steps=3,
        head=zeros_head(TARGETS[target]),
        rate=lambda name, k: rates[name][k],
    )
    check(algorithm, episode, reference, learned=algorithm.rates.parameters())


@all_targets
def test_multi_step_loss(target):
    episode = episode_of(TARGETS[target])
    algorithm = MAML(Net(), steps=3, multi_step=10)
    for epoch, weights in ((0, [1 / 3] * 3), (5, [1 / 6, 1 / 6, 2 / 3]), (10, [0.01, 0.01, 0.98])):
        algorithm.zero_grad()
        algorithm.meta_loss([episode], epoch=epoch).backward()
        grads = [value.grad.clone() for value in algorithm.backbone.parameters()]
        algorithm.zero_grad()
        parts = [
            weight
            * plain_loss(
                algorithm.backbone, episode, steps=at + 1, head=zeros_head(TARGETS[target])
            )
            for at, weight in enumerate(weights)
        ]
        sum(parts).backward()
        for mine, value in zip(grads, algorithm.backbone.parameters(), strict=True):
            torch.testing.assert_close(mine, value.grad, rtol=1e-8, atol=1e-11)


@all_targets
def test_frozen_statistics_and_partial_adaptation(target):
    episode, net = episode_of(TARGETS[target]), Net()
    algorithm = MAML(net, steps=2, norm="frozen", head="kaiming", adapted=["conv2.*", "head.*"])
    net.eval()
    reference = plain_loss(
        net,
        episode,
        steps=2,
        head=random_head(TARGETS[target]),
        adapted=lambda name: name.startswith(("conv2.", "head.")),
    )
    check(algorithm, episode, reference)


def distances(target, episode, net, cosine=None):
    x, y = features_of(net, dict(net.named_parameters()), episode.support.x), episode.support.y
    q = features_of(net, dict(net.named_parameters()), episode.query.x)
    if target.label_shape:
        columns = [
            x[y[:, label] == answer].mean(0) for answer in (0, 1) for label in range(y.shape[1])
        ]
    else:
        columns = [x[y == code].mean(0) for code in range(target.num_classes)]
    if cosine is None:
        return torch.stack([-(q - mean).square().sum(1) for mean in columns], 1)
    return cosine * torch.stack([torch.cosine_similarity(q, mean[None]) for mean in columns], 1)


@all_targets
def test_protonet(target):
    episode, kind = episode_of(TARGETS[target]), TARGETS[target]
    algorithm = make_algorithm("protonet", target)
    reference = kind.loss(
        kind.prototype_logits(distances(kind, episode, algorithm.backbone)), episode.query.y
    )
    check(algorithm, episode, reference)
    algorithm = make_algorithm("protonet-cosine", target)
    scores = distances(kind, episode, algorithm.backbone, algorithm.log_scale.exp())
    check(
        algorithm,
        episode,
        kind.loss(kind.prototype_logits(scores), episode.query.y),
        [algorithm.log_scale],
    )


@all_targets
def test_ridge(target):
    kind = TARGETS[target]
    episode = episode_of(kind)
    algorithm = make_algorithm("ridge", target)
    with torch.no_grad():
        algorithm.log_scale.add_(0.3)
        algorithm.log_strength.sub_(0.7)
    params = dict(algorithm.backbone.named_parameters())
    x, q = (
        features_of(algorithm.backbone, params, batch.x)
        for batch in (episode.support, episode.query)
    )
    codes = kind.regression_targets(episode.support.y).double()
    penalty = algorithm.log_strength.exp() * torch.eye(4, dtype=torch.float64)
    outputs = algorithm.log_scale.exp() * q @ torch.linalg.inv(x.T @ x + penalty) @ x.T @ codes
    reference = kind.loss(kind.regression_logits(outputs), episode.query.y)
    check(algorithm, episode, reference, [algorithm.log_scale, algorithm.log_strength])


@pytest.mark.slow
@pytest.mark.parametrize("target", ["multiclass", "multilabel", "ordinal-coral"])
def test_imaml_at_the_solution(target):
    """At the solution, (I + H/s) times the meta-gradient is the query loss's own gradient."""
    episode, kind, strength = episode_of(TARGETS[target]), TARGETS[target], 2.0
    algorithm = IMAML(Net(), strength=strength, steps=250, lr=0.15, iterations=60, head="kaiming")
    algorithm.meta_loss([episode]).backward()
    net = copy.deepcopy(algorithm.backbone)
    tensors = algorithm.adapt(episode.support, episode.task).tensors
    end = {
        name: value.requires_grad_()
        for name, value in {**tensors["params"], **tensors["head"]}.items()
    }

    def loss_at(batch):
        return kind.loss(logits_of(kind, features_of(net, end, batch.x), end), batch.y)

    inner = torch.autograd.grad(loss_at(episode.support), list(end.values()), create_graph=True)
    start = {**dict(net.named_parameters()), **random_head(kind)}
    for (name, value), grad in zip(end.items(), inner, strict=True):
        torch.testing.assert_close(grad, strength * (start[name] - value), rtol=1e-5, atol=1e-8)
    # The head's part of the meta-gradient is not handed out; it is what the head's rows of the
    # equation say.
    outer = torch.autograd.grad(loss_at(episode.query), list(end.values()))
    size = sum(value.numel() for value in end.values())
    hessian = torch.stack(
        [
            torch.cat(
                [
                    part.flatten()
                    for part in torch.autograd.grad(entry, list(end.values()), retain_graph=True)
                ]
            )
            for entry in torch.cat([grad.flatten() for grad in inner])
        ]
    )
    solution = torch.linalg.solve(
        torch.eye(size, dtype=torch.float64) + hessian / strength,
        torch.cat([part.flatten() for part in outer]),
    )
    found = torch.cat([value.grad.flatten() for value in algorithm.backbone.parameters()])
    assert relative(found, solution[: len(found)]) < 1e-5


@all_targets
def test_reptile_hands_back_the_way(target):
    episodes = [episode_of(TARGETS[target], seed) for seed in (0, 1)]
    algorithm = Reptile(Net(), steps=3, lr=0.05, optimiser="sgd", head="kaiming")
    algorithm.meta_loss(episodes).backward()
    ways = []
    for episode in episodes:
        params = dict(algorithm.backbone.named_parameters())
        params |= kaiming_head(
            TARGETS[target],
            4,
            generator=seeded_generator(0, "head", episode.plan.index),
            dtype=torch.float64,
        )
        images = torch.cat([episode.support.x, episode.query.x])
        labels = torch.cat([episode.support.y, episode.query.y])
        for _ in range(3):
            at = {name: value.detach().requires_grad_() for name, value in params.items()}
            features = features_of(algorithm.backbone, at, images)
            loss = TARGETS[target].loss(logits_of(TARGETS[target], features, at), labels)
            grads = torch.autograd.grad(loss, list(at.values()))
            params = {name: at[name] - 0.05 * grad for name, grad in zip(at, grads, strict=True)}
        ways.append(params)
    for name, value in algorithm.backbone.named_parameters():
        expected = torch.stack([value - way[name] for way in ways]).mean(0)
        torch.testing.assert_close(value.grad, expected, rtol=EXACT, atol=1e-12)


def test_an_engine_of_ones_own():
    episode = episode_of(TARGETS["binary"])
    algorithm = MAML(Net(), steps=2, engine=FirstOrder(), head="kaiming")
    assert algorithm.protocol()["engine"] == "first_order"
    reference = plain_loss(
        algorithm.backbone, episode, steps=2, head=random_head(TARGETS["binary"]), order=1
    )
    check(algorithm, episode, reference)


def test_memory_is_estimated_from_an_algorithms_problem():
    learner = MAML(Net(), steps=4)
    (problem,), meta, engine = learner.problems([episode_of(TARGETS["binary"])])
    assert (
        estimate(problem, meta, engine=engine).peak
        > estimate(problem, meta, engine="recompute").peak
    )


@pytest.mark.parametrize(
    "algorithm", ["maml", "anil", "meta-sgd", "maml-running", "maml++", "protonet", "ridge"]
)
def test_finite_differences_certify_it(algorithm):
    """Also from float32: certification widens an algorithm's problems itself."""
    learner, episode = (
        make_algorithm(algorithm, "ordinal-coral").float(),
        episode_of(TARGETS["ordinal-coral"]),
    )
    (problem,), meta, engine = learner.problems([episode], epoch=9)
    rows = certify_problem(problem, meta, engine=engine, directions=1)
    assert [row.holds for row in rows] == [True] * len(rows), rows
    assert len(rows) == 2 if algorithm in ("meta-sgd", "maml++") else 1
