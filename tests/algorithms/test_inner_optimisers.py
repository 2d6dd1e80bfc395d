"""The optimisers of inner loops by name: the steps of torch, in adaptation and in training."""

import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from tests.algorithms.cases import TARGETS, Net, episode_of
from torchcross.algorithms import ANIL, BOIL, IMAML, MAML, FineTune, LinearProbe, ProtoMAML, Reptile
from torchcross.errors import InputError

EPISODE = episode_of(TARGETS["multiclass"], seed=1)
OF_TORCH = {
    "sgd": (torch.optim.SGD, {}),
    "momentum": (torch.optim.SGD, {"momentum": 0.9}),
    "nesterov": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "adam": (torch.optim.Adam, {}),
    "adamw": (torch.optim.AdamW, {}),
}


@pytest.mark.parametrize("optimiser", OF_TORCH)
@pytest.mark.parametrize("weight_decay", [None, 0.0, 0.2])
def test_adaptation_takes_the_steps_of_torch(optimiser, weight_decay):
    kind, options = OF_TORCH[optimiser]
    maml = MAML(Net(), steps=3, lr=0.05, optimiser=optimiser, weight_decay=weight_decay)
    predictor = maml.adapt(EPISODE.support, EPISODE.task)
    module = Net().train()
    weight, bias = (
        torch.zeros(size, dtype=torch.float64, requires_grad=True) for size in ((3, 4), (3,))
    )
    # Without the option, torch's own default.
    decay = {} if weight_decay is None else {"weight_decay": weight_decay}
    theirs = kind([*module.parameters(), weight, bias], lr=0.05, **options, **decay)
    for _ in range(3):
        theirs.zero_grad()
        F.cross_entropy(
            F.linear(module(EPISODE.support.x), weight, bias), EPISODE.support.y
        ).backward()
        theirs.step()
    expected = {**dict(module.named_parameters()), "head.weight": weight, "head.bias": bias}
    tensors = {**predictor.tensors["params"], **predictor.tensors["head"]}
    for name, value in tensors.items():
        torch.testing.assert_close(value, expected[name].detach(), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize(
    "options",
    [{"engine": "reverse"}, {"memory": "low"}, {"engine": "mixed"}],
    ids=lambda options: str(*options.values()),
)
@pytest.mark.parametrize("optimiser", ["sgd", "nesterov"])
def test_meta_gradients_with_weight_decay(optimiser, options):
    """Against torch's tape, which knows nothing of zero heads and shared first steps."""
    net = Net()
    maml = MAML(net, steps=3, lr=0.05, optimiser=optimiser, weight_decay=0.2, **options)
    loss = maml.meta_loss([EPISODE])
    learned = dict(net.named_parameters())
    gradients = torch.autograd.grad(loss, list(learned.values()))

    params = dict(learned)
    params["head.weight"] = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    params["head.bias"] = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    velocities = {name: torch.zeros_like(value) for name, value in params.items()}

    def loss_of(batch):
        own = {name: params[name] for name in learned}
        features = functional_call(net.train(), own, (batch.x,))
        return F.cross_entropy(
            F.linear(features, params["head.weight"], params["head.bias"]), batch.y
        )

    for _ in range(3):
        slopes = torch.autograd.grad(
            loss_of(EPISODE.support), list(params.values()), create_graph=True
        )
        for (name, value), slope in zip(list(params.items()), slopes, strict=True):
            direction = slope + 0.2 * value
            if optimiser == "nesterov":
                velocities[name] = 0.9 * velocities[name] + direction
                direction = direction + 0.9 * velocities[name]
            params[name] = value - 0.05 * direction
    expected = torch.autograd.grad(loss_of(EPISODE.query), list(learned.values()))
    for ours, theirs in zip(gradients, expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-11)


@pytest.mark.parametrize("make", [MAML, ANIL, BOIL, ProtoMAML, Reptile, FineTune, LinearProbe])
def test_every_inner_loop_has_the_optimisers(make):
    options = {"steps": 2, "lr": 0.01, "optimiser": "adamw"}
    plain = make(Net(), weight_decay=0.0, **options)
    decayed = make(Net(), weight_decay=0.5, **options)
    assert "weight_decay" not in plain.protocol()
    assert decayed.protocol()["weight_decay"] == 0.5
    assert make(Net(), **options).protocol()["weight_decay"] == 0.01
    ends = [
        learner.double().adapt(EPISODE.support, EPISODE.task).logits(EPISODE.query.x)
        for learner in (plain, decayed)
    ]
    assert not torch.allclose(*ends)


@pytest.mark.parametrize(
    "make",
    [
        lambda: IMAML(Net(), optimiser="adamw"),
        lambda: MAML(Net(), engine="implicit", weight_decay=0.1),
    ],
)
def test_implicit_gradients_refuse_weight_decay(make):
    with pytest.raises(InputError, match="implicit' solves a proximal problem"):
        make()


@pytest.mark.parametrize("weight_decay", [-0.1, float("nan"), "x", True])
@pytest.mark.parametrize("make", [MAML, FineTune])
def test_a_wrong_weight_decay_is_refused_at_once(make, weight_decay):
    with pytest.raises(InputError, match=r"weight_decay must be a number of 0 or more, not"):
        make(Net(), optimiser="adamw", weight_decay=weight_decay)
