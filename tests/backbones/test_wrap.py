import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from torch import nn

from tests.backbones.small_backbones import images, same, values
from torchcross import backbones
from torchcross.backbones import as_backbone, build, from_timm, from_torchvision
from torchcross.errors import InputError, MissingExtraError


class Net(nn.Module):
    """Draws from the global generator when made, as most modules do."""

    def __init__(self, channels=3, width=6, classes=0, img_size=0, dynamic_img_size=False):
        super().__init__()
        self.conv = nn.Conv2d(channels, width, 3)
        self.bn = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(width, classes) if classes else nn.Identity()

    def forward(self, x):
        return self.fc(self.drop(self.bn(self.conv(x)).mean((2, 3))))


@pytest.fixture
def net():
    with torch.random.fork_rng(devices=[]):
        return Net().train()


@pytest.mark.slow
def test_the_number_of_features_is_found_without_touching_the_module(net):
    before, state = values(net), torch.random.get_rng_state()
    wrapped = as_backbone(net)
    assert wrapped.num_features == 6
    assert wrapped.spec is None
    assert same(before, values(net))
    assert torch.equal(state, torch.random.get_rng_state())
    assert net.training
    assert wrapped.training
    assert not any(value.is_meta for value in net.parameters())


def test_a_wrapped_module_shares_its_tensors_and_its_features(net):
    wrapped = as_backbone(net.eval(), grey="expand")
    assert torch.equal(wrapped(images()), net(images()))
    assert torch.equal(wrapped(images(channels=1)), net(images(channels=1).expand(-1, 3, -1, -1)))
    assert {id(value) for value in wrapped.parameters()} == {
        id(value) for value in net.parameters()
    }


def test_a_backbone_is_handed_back():
    backbone = backbones.conv4(8)
    assert as_backbone(backbone) is backbone
    assert as_backbone(backbone, 8) is backbone
    with pytest.raises(InputError, match="has 8 features, not num_features=9"):
        as_backbone(backbone, 9)


class Reads(nn.Module):
    """Looks at values, which the meta device does not have."""

    def forward(self, x):
        return x.flatten(1)[:, : 4 if x.sum().item() > 0 else 5]


def test_where_a_dry_run_fails_the_number_is_given():
    with pytest.raises(InputError, match=r"a dry run of Reads.*num_features"):
        as_backbone(Reads())
    wrapped = as_backbone(Reads(), 4)
    assert wrapped(images()).shape == (3, 4)
    with pytest.raises(InputError, match="Reads gave 5 features and was wrapped for 4"):
        wrapped(-images())


class Aside(nn.Module):
    """Hands back more while it is trained, as networks with auxiliary outputs do."""

    def forward(self, x):
        return (x.mean((2, 3)), x) if self.training else x.mean((2, 3))


def test_a_dry_run_is_made_in_evaluation_mode():
    module = Aside().train()
    assert as_backbone(module).num_features == 3
    assert module.training


def test_features_that_depend_on_the_size_of_the_images():
    flat = nn.Sequential(nn.AvgPool2d(8), nn.Flatten())
    assert as_backbone(flat, image_size=32).num_features == 48
    assert as_backbone(flat, in_channels=1, image_size=32).num_features == 16


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (nn.Conv2d, {}, r"\(2, 4, 222, 222\) for 2 images.*pool the map"),
        (nn.Conv2d, {"in_channels": 1}, "a dry run of Conv2d.*in_channels"),
        (lambda *_: nn.Flatten(0), {}, "one row per image"),
        (lambda *_: nn.LazyLinear(4), {}, "lazy"),
        (lambda *_: Tuple(), {}, "returns tuple"),
        (lambda *_: torch.relu, {}, "takes an nn.Module"),
        (nn.Conv2d, {"num_features": 0}, "num_features=0"),
        (nn.Conv2d, {"image_size": 0}, "image_size=0"),
    ],
)
@pytest.mark.filterwarnings(
    "ignore:Lazy modules are a new feature"
)  # torch says so of every lazy layer
def test_what_is_no_backbone_is_refused(module, options, message):
    with torch.random.fork_rng(devices=[]), pytest.raises(InputError, match=message):
        as_backbone(module(3, 4, 3), **options)


class Tuple(nn.Module):
    def forward(self, x):
        return x, x


FIXED = SimpleNamespace(input_size=(3, 24, 24), to_dict=lambda: {"fixed_input_size": True})


@pytest.fixture
def libraries(monkeypatch):
    """Stand-ins for timm and torchvision, which note what they were called with."""
    calls = []

    def create_model(name, *, pretrained, num_classes, in_chans, **options):
        calls.append((name, pretrained, num_classes, options))
        return Net(in_chans, **options)

    def get_model(name, *, weights, **options):
        calls.append((name, weights, options))
        net = Net(classes=10, **options)
        if name == "other":
            net.fc = nn.Identity()
        if name == "deep":
            net.fc = nn.Sequential(nn.Linear(6, 7), nn.ReLU(), nn.Linear(7, 10))
        return net

    timm, torchvision, models = (
        ModuleType("timm"),
        ModuleType("torchvision"),
        ModuleType("torchvision.models"),
    )
    timm.create_model = create_model
    timm.get_pretrained_cfg = {"vit": FIXED}.get
    torchvision.models, models.get_model = models, get_model
    for module in (timm, torchvision, models):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return calls


def test_timm(libraries):
    state = torch.random.get_rng_state()
    first, second, other = (
        from_timm("net", in_channels=1, width=5, seed=seed) for seed in (1, 1, 2)
    )
    assert torch.equal(state, torch.random.get_rng_state())
    assert same(values(first), values(second))
    assert not same(values(first), values(other))
    assert libraries[0] == ("net", False, 0, {"width": 5})
    assert first.num_features == 5
    assert first(images(channels=1)).shape == (3, 5)
    again = build(first.spec.as_dict(), seed=1)
    assert again.spec == first.spec
    assert same(values(again), values(second))


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        ({"image_size": 32}, {"img_size": 32}),
        ({"image_size": 32, "img_size": 40}, {"img_size": 40}),
        ({"image_size": 24}, {}),
        ({"image_size": 32, "dynamic_img_size": True}, {"dynamic_img_size": True}),
    ],
)
def test_a_network_of_one_size_is_built_for_the_side_of_the_images(libraries, options, passed):
    from_timm("vit", **options)
    assert libraries == [("vit", False, 0, passed)]


def test_a_generator_is_moved_by_a_foreign_model(libraries):
    generator = torch.Generator().manual_seed(1)
    first, second = (values(from_timm("net", seed=generator)) for _ in range(2))
    assert same(first, values(from_timm("net", seed=1)))
    assert not same(first, second)


@pytest.mark.parametrize(("name", "features"), [("net", 6), ("deep", 7)])
def test_torchvision(libraries, name, features):
    backbone = from_torchvision(name, seed=1)
    assert libraries == [(name, None, {})]
    assert backbone.num_features == features
    assert backbone.classifier == (("fc.*",) if name == "net" else ("fc.2.*",))
    assert build(backbone.spec).num_features == features


def test_torchvision_models_without_a_known_classifier_are_refused(libraries):
    with pytest.raises(InputError, match="no linear layer under fc, classifier"):
        from_torchvision("other")


@pytest.mark.parametrize(
    "option", [{"cache_dir": "x"}, {"checkpoint_path": "x"}, {"pretrained_cfg": {}}]
)
def test_weights_without_a_record_are_not_fetched(libraries, option):
    with pytest.raises(InputError, match=r"load_weights\(backbone, path\)"):
        from_timm("net", **option)
    with pytest.raises(InputError, match=r"load_weights\(backbone, path\)"):
        from_torchvision("net", weights="DEFAULT")
    assert libraries == []


@pytest.mark.parametrize("name", ["hf-hub:some/one", "local-dir:x", "a/b", "", 3])
def test_an_address_is_no_name(libraries, name):
    for build_it in (
        from_timm,
        from_torchvision,
        lambda given: build({"name": "from_timm", "options": {"name": given}}),
    ):
        with pytest.raises(InputError, match="name="):
            build_it(name)
    assert libraries == []


def test_options_are_plain_so_that_they_can_be_described(libraries):
    with pytest.raises(InputError, match=r"act_layer= is not a number.*as_backbone"):
        from_timm("net", act_layer=nn.ReLU)
    assert libraries == []


def test_what_is_not_installed_is_said(monkeypatch):
    for name in ("timm", "torchvision", "torchvision.models"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match="install timm"):
        from_timm("net")
    with pytest.raises(MissingExtraError, match="install torchvision"):
        from_torchvision("net")
