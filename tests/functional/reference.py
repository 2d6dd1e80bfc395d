"""The same results by hand: a small network in plain tensor operations, and a plain inner loop."""

import torch
import torch.nn.functional as F
from torch import nn

EPS, MOMENTUM = 1e-5, 0.1
LAYERS = ("norm1", "norm2")


def start_from_noise(module, seed):
    """Give a module with BatchNorm parameters and statistics of its own, in float64."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in module.named_parameters():
            noise = torch.randn(tensor.shape, generator=generator) * 0.3
            tensor.copy_(1 + noise if "norm" in name and name.endswith("weight") else noise)
        for name, buffer in module.named_buffers():
            if buffer.is_floating_point():
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + ("var" in name))
    module.double()


class Net(nn.Module):
    """Two convolutions with BatchNorm; smooth, so that finite differences hold."""

    def __init__(self, seed=0, channels=3):
        super().__init__()
        self.conv1 = nn.Conv2d(1, channels, 3, padding=1)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, 4, 3, stride=2)
        self.norm2 = nn.BatchNorm2d(4)
        start_from_noise(self, seed)

    def forward(self, x):
        x = torch.tanh(self.norm1(self.conv1(x)))
        return torch.tanh(self.norm2(self.conv2(x))).mean((2, 3))


def data_of(seed, ways=3, support=6, query=5, size=6):
    generator = torch.Generator().manual_seed(1000 + seed)
    images = torch.randn(support + query, 1, size, size, generator=generator, dtype=torch.float64)
    labels = torch.arange(support + query) % ways
    return {
        "xs": images[:support],
        "ys": labels[:support],
        "xq": images[support:],
        "yq": labels[support:],
    }


def head_of(ways=3, seed=5, zero=False):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(ways, 4, generator=generator, dtype=torch.float64) * 0.5
    bias = torch.randn(ways, generator=generator, dtype=torch.float64) * 0.1
    return {"head.weight": weight * (not zero), "head.bias": bias * (not zero)}


def losses_of(network):
    """Support and query loss of a network with a linear head in the same dictionary."""

    def support(params, buffers, data, step):
        features, buffers = network.support(params, buffers, data["xs"], step=step)
        logits = F.linear(features, params["head.weight"], params["head.bias"])
        return F.cross_entropy(logits, data["ys"]), buffers

    def query(params, buffers, data, step):
        statistics, buffers = network.statistics(params, buffers, data["xs"], step=step)
        features, buffers = network.query(
            params, buffers, data["xq"], statistics=statistics, step=step
        )
        logits = F.linear(features, params["head.weight"], params["head.bias"])
        return F.cross_entropy(logits, data["yq"]), buffers

    return support, query


def _normalise(x, statistics, params, layer):
    mean, variance = statistics
    shape = (1, -1, 1, 1)
    x = (x - mean.view(shape)) / torch.sqrt(variance.view(shape) + EPS)
    return x * params[f"{layer}.weight"].view(shape) + params[f"{layer}.bias"].view(shape)


def features_by_hand(params, x, statistics_for):
    """`statistics_for(layer, x)` -> (mean, variance) that normalise x."""
    for conv, layer, stride, padding in (("conv1", "norm1", 1, 1), ("conv2", "norm2", 2, 0)):
        x = F.conv2d(
            x, params[f"{conv}.weight"], params[f"{conv}.bias"], stride=stride, padding=padding
        )
        x = torch.tanh(_normalise(x, statistics_for(layer, x), params, layer))
    return x.mean((2, 3))


def own_statistics(layer, x):
    mean = x.mean((0, 2, 3))
    return mean, (x - mean.view(1, -1, 1, 1)).square().mean((0, 2, 3))


class Statistics:
    """The five policies, by hand. `running` holds (mean, variance) of each layer, or a list of them
    (per_step).
    """

    def __init__(self, policy, buffers):
        self.policy = policy
        self.running = {
            layer: (buffers[f"{layer}.running_mean"], buffers[f"{layer}.running_var"])
            for layer in LAYERS
        }

    def moved(self, layer, x, step):
        mean, variance = own_statistics(layer, x)
        count = x.numel() // x.shape[1]
        old_mean, old_variance = self.running[layer]
        if self.policy == "per_step":
            old_mean, old_variance = old_mean[step], old_variance[step]
        unbiased = variance * count / (count - 1)
        return (
            (1 - MOMENTUM) * old_mean + MOMENTUM * mean,
            (1 - MOMENTUM) * old_variance + MOMENTUM * unbiased,
        )

    def support(self, layer, x, step):
        if self.policy == "frozen":
            return self.running[layer]
        if self.policy == "running":
            self.running = {**self.running, layer: self.moved(layer, x, step)}
        return own_statistics(layer, x)

    def query_statistics(self, params, xs, step):
        taken = {}

        def take(layer, x):
            own = own_statistics(layer, x)
            taken[layer] = self.moved(layer, x, step) if self.policy == "per_step" else own
            return own

        if self.policy in ("support", "per_step"):
            features_by_hand(params, xs, take)
        return {**self.running, **taken}

    def query(self, params, data, step):
        known = self.query_statistics(params, data["xs"], step)
        choose = own_statistics if self.policy == "batch" else lambda layer, x: known[layer]
        return features_by_hand(params, data["xq"], choose)


def update_by_hand(kind, grads, state, params, rates, step):
    """`kind` is the name of an optimiser; with "/decay" behind it, its weight decay is 0.1."""
    kind, _, decay = kind.partition("/")
    penalty = 0.1 if decay else 0.0
    moved, after = {}, {}
    for name, slope in grads.items():
        g = slope + penalty * params[name] * (kind != "adamw")
        direction = g
        if kind in ("momentum", "nesterov"):
            after[name] = 0.9 * state.get(name, 0.0) + g
            direction = g + 0.9 * after[name] if kind == "nesterov" else after[name]
        elif kind in ("adam", "adamw"):
            m, v = state.get(name, (0.0, 0.0))
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            after[name] = (m, v)
            # The gradient of a bias before BatchNorm is zero, on some processors exactly. There the
            # square root has no derivative; it counts as 0, since m = 0 makes v irrelevant.
            positive = v > 0
            root = torch.sqrt(torch.where(positive, v / (1 - 0.999 ** (step + 1)), 1.0)) * positive
            direction = (m / (1 - 0.9 ** (step + 1))) / (root + 1e-8)
        if kind == "adamw":
            direction = direction + penalty * params[name]
        moved[name] = params[name] - rates(name, step) * direction
    return moved, after


def plain_loop(
    params, rates, buffers, data, *, kind, policy, steps, adapted, weights=None, detach=False
):
    """Loss and its gradients (params, rates) by autograd through the loop, `create_graph=True` all
    the way.

    `rates` is a dictionary of leaves; `rates["*"]` serves all; tensors of `steps` leading entries
    are per step.
    """
    params = {name: value.detach().requires_grad_() for name, value in params.items()}
    rates = {name: value.detach().requires_grad_() for name, value in rates.items()}

    def rate(name, step):
        value = rates.get(name, rates.get("*"))
        return (
            value[step]
            if value.dim() and value.shape != params.get(name, value[:0]).shape
            else value
        )

    statistics = Statistics(policy, buffers)
    state: dict[str, torch.Tensor] = {}
    weights = weights or [0.0] * (steps - 1) + [1.0]
    total, current = torch.zeros((), dtype=torch.float64), dict(params)

    def logits(features):
        return F.linear(features, current["head.weight"], current["head.bias"])

    for step in range(steps):
        features = features_by_hand(
            current, data["xs"], lambda a, x, s=step: statistics.support(a, x, s)
        )
        loss = F.cross_entropy(logits(features), data["ys"])
        names = [name for name in current if name in adapted]
        slopes = torch.autograd.grad(loss, [current[n] for n in names], create_graph=True)
        slopes = tuple(slope.detach() if detach else slope for slope in slopes)
        if detach:
            statistics.running = {
                layer: tuple(value.detach() for value in pair)
                for layer, pair in statistics.running.items()
            }
        moved, state = update_by_hand(
            kind, dict(zip(names, slopes, strict=True)), state, current, rate, step
        )
        current = {**current, **moved}
        if weights[step]:
            query = F.cross_entropy(logits(statistics.query(current, data, step + 1)), data["yq"])
            total = total + weights[step] * query
    inputs = [*params.values(), *rates.values()]
    grads = torch.autograd.grad(total, inputs, allow_unused=True, materialize_grads=True)
    return (
        total.detach(),
        dict(zip(params, grads, strict=False)),
        dict(zip(rates, grads[len(params) :], strict=True)),
    )


def assert_close(left, right, tolerance=1e-9):
    assert left.keys() == right.keys()
    scale = max(float(value.norm()) for value in right.values()) if right else 1.0
    for name, value in right.items():
        gap = float((left[name] - value).norm())
        assert gap <= tolerance * max(scale, 1e-3), f"{name}: {gap} of {scale}"
