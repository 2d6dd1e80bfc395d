import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.functional.reference import Net, data_of
from torchcross.errors import InputError
from torchcross.functional import Network, call, merge_buffers, partition, select


def snapshot(module):
    tensors = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: value.detach().clone() for name, value in tensors.items()}, [
        m.training for m in module.modules()
    ]


@pytest.mark.parametrize("policy", ["frozen", "batch", "support", "running", "per_step"])
def test_a_call_leaves_the_module_as_it_was(policy):
    module = Net().train()
    module.norm1.eval()
    before, modes = snapshot(module)
    state = torch.get_rng_state()
    network = Network(module, norm=policy)
    params, buffers = network.state(2)
    data = data_of(0)
    _, fresh = network.support(params, buffers, data["xs"], step=1)
    statistics, fresh = network.statistics(params, fresh, data["xs"], step=2)
    network.query(params, fresh, data["xq"], statistics=statistics, step=2)
    after, modes_after = snapshot(module)
    assert modes == modes_after
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert torch.equal(state, torch.get_rng_state())
    assert all(value.grad is None for value in module.parameters())


def test_running_statistics_are_torchs():
    module = Net().train()
    network = Network(module, norm="running")
    params, buffers = network.state()
    x = data_of(1)["xs"]
    output, fresh = network.support(params, buffers, x)
    twice, fresh = network.support(params, fresh, x)
    torch.testing.assert_close(output, module(x), rtol=1e-12, atol=1e-12)
    module(x)
    for name, value in module.named_buffers():
        torch.testing.assert_close(fresh[name], value, rtol=1e-12, atol=1e-12)
    module.eval()
    statistics, _ = network.statistics(params, fresh, x)
    query, _ = network.query(params, fresh, x, statistics=statistics)
    torch.testing.assert_close(query, module(x), rtol=1e-12, atol=1e-12)
    assert torch.equal(output, twice)


def test_cumulative_average_where_momentum_is_none():
    module = nn.Sequential(nn.BatchNorm1d(2, momentum=None))
    network = Network(module, norm="running")
    params, buffers = network.state()
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        x = torch.randn(5, 2, generator=generator)
        _, buffers = network.support(params, buffers, x)
        module(x)
    for name, value in module.named_buffers():
        torch.testing.assert_close(buffers[name], value)


def test_per_step_moves_its_own_row_alone():
    network = Network(Net(), norm="per_step")
    params, buffers = network.state(steps=3)
    x = data_of(0)["xs"]
    _, fresh = network.support(params, buffers, x, step=1)
    changed = (fresh["norm1.running_mean"] != buffers["norm1.running_mean"]).any(1)
    assert changed.tolist() == [False, True, False, False]
    assert fresh["norm1.num_batches_tracked"].tolist() == [0, 1, 0, 0]
    with pytest.raises(InputError, match="3 inner steps and step 4"):
        network.support(params, buffers, x, step=4)


def test_call_is_a_support_forward():
    module = Net()
    params, buffers = dict(module.named_parameters()), dict(module.named_buffers())
    x = data_of(0)["xs"]
    output, fresh = call(module, params, buffers, x)
    torch.testing.assert_close(output, module.train()(x), rtol=1e-12, atol=1e-12)
    assert all(fresh[name] is buffers[name] for name in buffers)


def test_group_and_layer_norm_are_untouched():
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.GroupNorm(2, 4), nn.LayerNorm([4, 4, 4])).double()
    x = data_of(0)["xs"]
    params, buffers = Network(module).state()
    assert torch.equal(call(module, params, buffers, x)[0], module(x))


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3, bias=False)
        self.again = nn.Linear(3, 3, bias=False)
        self.again.weight = self.first.weight
        self.unused = nn.Linear(2, 2)
        self.also = [self.first]

    def forward(self, x):
        return self.again(self.also[0](x))


def test_shared_and_unused_parameters():
    module = Tied()
    network = Network(module)
    params, buffers = network.state()
    assert sorted(params) == ["first.weight", "unused.bias", "unused.weight"]
    other = {**params, "first.weight": torch.eye(3) * 2}
    x = torch.ones(1, 3)
    output, _ = network.support(other, buffers, x)
    assert torch.equal(output, 4 * x)


def test_a_copied_network_is_a_network_of_the_copy():
    network = Network(Net(), norm="support")
    other = copy.deepcopy(network)
    assert other.policy is network.policy
    assert other.module is not network.module
    params, buffers = network.state()
    x = data_of(0)["xs"]
    doubled = {name: 2 * value for name, value in params.items()}
    assert torch.equal(
        other.support(doubled, buffers, x)[0], network.support(doubled, buffers, x)[0]
    )


def test_statistics_are_of_the_module_as_it_is_now():
    module = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Identity()).double()
    network, x = Network(module, norm="support"), data_of(0)["xs"]
    assert network.statistics(*network.state(), x)[0] == {}
    module[1] = nn.BatchNorm2d(2).double()
    assert set(network.statistics(*network.state(), x)[0]) == {"1#0.mean", "1#0.variance"}


class Counter(nn.Module):
    def __init__(self, in_place):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))
        self.register_buffer("seen", torch.zeros(()))
        self.in_place = in_place

    def forward(self, x):
        if self.in_place:
            self.seen += 1
        else:
            self.seen = self.seen + 1
        return self.weight * x


@pytest.mark.parametrize("in_place", [True, False])
def test_buffers_that_a_module_changes_are_handed_back(in_place):
    module = Counter(in_place)
    network = Network(module)
    params, buffers = network.state()
    _, fresh = network.support(params, buffers, torch.ones(2))
    _, fresh = network.support(params, fresh, torch.ones(2))
    assert float(fresh["seen"]) == 2.0
    assert float(buffers["seen"]) == 0.0 == float(module.seen)


class Writes(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x):
        self.weight.data.mul_(0.5)
        return self.weight * x


class Draws(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return self.weight * x + torch.rand(3)


@pytest.mark.parametrize(
    ("kind", "message"), [(Writes, "writes to its parameter 'weight'"), (Draws, "global random")]
)
def test_impure_modules_are_refused_and_unharmed(kind, message):
    module = kind()
    params, buffers = Network(module).state()
    state = torch.get_rng_state()
    with pytest.raises(InputError, match=message):
        call(module, params, buffers, torch.ones(3))
    assert torch.equal(module.weight, torch.ones(3))
    assert torch.equal(state, torch.get_rng_state())


class OwnNorm(nn.BatchNorm2d):
    def forward(self, x):
        return 2 * super().forward(x)


@pytest.mark.parametrize(
    ("build", "policy", "message"),
    [
        (
            lambda: nn.BatchNorm2d(2, track_running_stats=False),
            "frozen",
            "needs running statistics",
        ),
        (
            lambda: nn.Conv2d(1, 1, 1),
            "transductive",
            "no BatchNorm policy is called 'transductive'",
        ),
        (lambda: nn.LazyLinear(2), "batch", "lazy parameters"),
    ],
)
@pytest.mark.filterwarnings(
    "ignore:Lazy modules are a new feature"
)  # torch says so of every lazy layer
def test_modules_that_cannot_be_served(build, policy, message):
    with pytest.raises(InputError, match=message):
        Network(build(), norm=policy)


def test_errors_of_a_call():
    network = Network(nn.BatchNorm1d(2))
    params, buffers = network.state()
    with pytest.raises(InputError, match="has no variance"):
        network.support(params, buffers, torch.ones(1, 2))
    with pytest.raises(InputError, match="lack 'weight'"):
        network.support({}, buffers, torch.ones(3, 2))
    network = Network(nn.BatchNorm1d(2), norm="support")
    with pytest.raises(InputError, match="no support statistics"):
        network.query(params, buffers, torch.ones(3, 2), statistics={})


class Dropped(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3)
        self.whole = nn.Dropout2d(0.5)
        self.each = nn.Dropout(0.25)

    def forward(self, x):
        return self.each(self.whole(self.conv(x))) + self.each(torch.ones_like(x[..., :4, :4]))


def test_dropout_masks_are_data():
    network = Network(Dropped())
    params, buffers = network.state()
    x = torch.ones(3, 1, 6, 6)
    state = torch.get_rng_state()
    masks = network.masks(params, buffers, x, seed=1, episode=2, part=0, rows=2)
    again = network.masks(params, buffers, x, seed=1, episode=2, part=0, rows=2)
    other = network.masks(params, buffers, x, seed=1, episode=3, part=0, rows=2)
    assert torch.equal(state, torch.get_rng_state())
    assert {name: tuple(mask.shape) for name, mask in masks.items()} == {
        "whole#0": (2, 3, 8, 1, 1),
        "each#0": (2, 3, 8, 4, 4),
        "each#1": (2, 3, 1, 4, 4),
    }
    assert all(torch.equal(masks[name], again[name]) for name in masks)
    assert any(not torch.equal(masks[name], other[name]) for name in masks)
    assert 0.6 < float(masks["each#0"].float().mean()) < 0.9
    output, _ = network.support(params, buffers, x, step=1, masks=masks)
    hidden = F.conv2d(x, params["conv.weight"], params["conv.bias"]) * masks["whole#0"][1] / 0.5
    expected = hidden * masks["each#0"][1] / 0.75 + masks["each#1"][1] / 0.75
    torch.testing.assert_close(output, expected)
    plain, _ = network.support(params, buffers, x)
    torch.testing.assert_close(plain, F.conv2d(x, params["conv.weight"], params["conv.bias"]) + 1)
    with pytest.raises(
        InputError, match=r"for step 2, and those drawn have the shape .* for 2 steps"
    ):
        network.support(params, buffers, x, step=2, masks=masks)


def test_selection():
    params = {"a.weight": torch.ones(1), "a.bias": torch.ones(1), "b.weight": torch.ones(1)}
    assert select(params, "a.*") == {"a.weight", "a.bias"}
    assert select(params, lambda name: name.endswith("bias")) == {"a.bias"}
    chosen, rest = partition(params, ["*.bias", "b.*"])
    assert (list(chosen), list(rest)) == (["a.bias", "b.weight"], ["a.weight"])
    with pytest.raises(InputError, match=r"'c.\*' names none of the 3"):
        select(params, ["a.*", "c.*"])


def test_merged_buffers():
    trees = [
        {"mean": torch.tensor(1.0), "count": torch.tensor(3)},
        {"mean": torch.tensor(2.0), "count": torch.tensor(4)},
    ]
    merged = merge_buffers(trees)
    assert (float(merged["mean"]), int(merged["count"])) == (1.5, 4)
    with pytest.raises(InputError, match="empty"):
        merge_buffers([])


class Viewing(nn.Module):
    """Counts on channels that come before pixels, as many backbones do."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3)

    def forward(self, x):
        return self.conv(x).view(len(x), -1)


def test_a_module_that_needs_its_channels_first_gets_them():
    module = Viewing()
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(4, 2, 8, 8, generator=generator)
    params, buffers = Network(module).state()
    torch.testing.assert_close(call(module, params, buffers, x)[0], module(x))
