"""A predictor as a plain module: the same predictions, and torch can trace and export it."""

import copy
import io

import pytest
import torch
from torch import nn

from tests.algorithms.cases import CELLS, TARGETS, WIDTH, Net, episode_of, make_algorithm
from torchcross import backbones
from torchcross.algorithms import MAML, FineTune, PlainPredictor, ProtoNet
from torchcross.data import Episodes, EpisodeSampler, toys
from torchcross.data.loading.augment import Normalise
from torchcross.errors import InputError
from torchcross.functional.network.norm_policies import POLICIES
from torchcross.functional.network.plain_copy import depends_on_batch

EPISODE = episode_of(TARGETS["multiclass"])


def adapted(algorithm, target="multiclass", **options):
    episode = episode_of(TARGETS[target])
    return make_algorithm(algorithm, target, **options).adapt(episode.support, episode.task)


def module_of(predictor, output="probabilities"):
    """The module that predicts what the predictor predicts for whole batches."""
    return predictor.to_module(output, transductive=predictor.protocol["norm"] == "batch")


def close(left, right):
    torch.testing.assert_close(left, right, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("algorithm", "target"), CELLS)
def test_the_module_predicts_what_the_predictor_predicts(algorithm, target):
    episode = episode_of(TARGETS[target])
    predictor = adapted(algorithm, target)
    module = module_of(predictor)
    close(module(episode.query.x), predictor(episode.query.x).probabilities)
    close(module_of(predictor, "logits")(episode.query.x), predictor.logits(episode.query.x))
    assert module.classes == TARGETS[target].classes
    assert not any(layer.training for layer in module.modules())
    assert not any(value.requires_grad for value in module.parameters())


@pytest.mark.parametrize("kind", ["euclidean", "maml"])
def test_the_support_images_fix_the_statistics_of_a_transductive_predictor(kind):
    make = {"euclidean": ProtoNet, "maml": lambda net, norm: MAML(net, steps=2, norm=norm)}[kind]
    by_batch = make(Net(), norm="batch").adapt(EPISODE.support, EPISODE.task)
    by_support = make(Net(), norm="support").adapt(EPISODE.support, EPISODE.task)
    module = by_batch.to_module(support=EPISODE.support.x)
    close(module(EPISODE.query.x), by_support(EPISODE.query.x).probabilities)
    close(module(EPISODE.query.x[:1]), by_support(EPISODE.query.x[:1]).probabilities)


def test_a_transductive_predictor_needs_a_choice():
    predictor = adapted("protonet")
    with pytest.raises(
        InputError, match=r"policy 'batch': transductive.*support=\.\.\..*transductive=True"
    ):
        predictor.to_module()
    with pytest.raises(InputError, match="Choose one"):
        predictor.to_module(support=EPISODE.support.x, transductive=True)
    with pytest.raises(InputError, match="policy 'support' fixes the statistics"):
        adapted("protonet-support").to_module(transductive=True)
    with pytest.raises(InputError, match="support images has NaN"):
        predictor.to_module(support=EPISODE.support.x * float("nan"))
    with pytest.raises(InputError, match=r"got one value for each channel \(input \(1, 4, 1, 1\)"):
        predictor.to_module(transductive=True)(EPISODE.query.x[:1, :, :3, :3])
    with pytest.raises(InputError, match="output='odds'"):
        predictor.to_module("odds")


def test_without_batchnorm_nothing_depends_on_the_batch():
    assert depends_on_batch(Net(), POLICIES["batch"])
    assert not depends_on_batch(Net(), POLICIES["support"])
    plain = nn.Sequential(nn.Conv2d(1, WIDTH, 6), nn.Flatten()).double()
    predictor = ProtoNet(plain).adapt(EPISODE.support, EPISODE.task)
    close(predictor.to_module()(EPISODE.query.x), predictor(EPISODE.query.x).probabilities)
    with pytest.raises(InputError, match="no layer of its network normalises over the batch"):
        predictor.to_module(transductive=True)


class Twice(Net):
    """Calls one BatchNorm twice, which then has two pairs of statistics of the support set."""

    def forward(self, x):
        x = self.norm1(torch.tanh(self.norm1(self.conv1(x))))
        return torch.tanh(self.norm2(self.conv2(x))).mean((2, 3))


def test_a_layer_with_statistics_for_two_calls_is_refused():
    predictor = ProtoNet(Twice(), norm="support").adapt(EPISODE.support, EPISODE.task)
    with pytest.raises(InputError, match="'norm1' is called several times"):
        predictor.to_module()
    running = MAML(Twice(), steps=1, norm="running").adapt(EPISODE.support, EPISODE.task)
    close(running.to_module()(EPISODE.query.x), running(EPISODE.query.x).probabilities)


class OwnForward(nn.Module):
    """A norm that is none of torch's classes."""

    def __init__(self, channels):
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x):
        x = torch.nn.functional.batch_norm(
            torch.tanh(x), self.running_mean, self.running_var, training=self.training
        )
        return torch.tanh(x)


class Activated(nn.BatchNorm2d):
    """A BatchNorm with an activation, as image model libraries have them."""

    def forward(self, x):
        return torch.tanh(super().forward(x))


def net_with(norm):
    net = Net()
    net.norm1 = norm
    return net.double()


@pytest.mark.parametrize("policy", ["batch", "support", "running", "frozen"])
@pytest.mark.parametrize(
    "norm", [Activated(3), OwnForward(3), nn.InstanceNorm2d(3, track_running_stats=True)]
)
def test_other_layers_that_normalise(norm, policy):
    if isinstance(norm, nn.InstanceNorm2d) and policy == "support":
        return  # refused already when the learner is made
    learner = MAML(net_with(copy.deepcopy(norm)), steps=1, norm=policy)
    predictor = learner.adapt(EPISODE.support, EPISODE.task)
    if isinstance(norm, OwnForward) and policy == "batch":
        with pytest.raises(InputError, match="'norm1' is a OwnForward, which calls batch_norm"):
            predictor.to_module(transductive=True)
    else:
        close(module_of(predictor)(EPISODE.query.x), predictor(EPISODE.query.x).probabilities)


@pytest.mark.parametrize("tracks", [True, False])
def test_a_norm_without_weights_computes_in_the_type_of_the_module(tracks):
    net = net_with(nn.BatchNorm2d(3, affine=False, track_running_stats=tracks))
    predictor = ProtoNet(net).adapt(EPISODE.support, EPISODE.task)
    close(module_of(predictor)(EPISODE.query.x), predictor(EPISODE.query.x).probabilities)


class ByKeyword(Net):
    """Calls a BatchNorm by the name of its argument."""

    def forward(self, x):
        x = torch.tanh(self.norm1(input=self.conv1(x)))
        return torch.tanh(self.norm2(self.conv2(x))).mean((2, 3))


@pytest.mark.parametrize("norm", ["batch", "support"])
def test_layers_may_be_called_by_keyword(norm):
    predictor = ProtoNet(ByKeyword(), norm=norm).adapt(EPISODE.support, EPISODE.task)
    close(module_of(predictor)(EPISODE.query.x), predictor(EPISODE.query.x).probabilities)


def test_the_module_owns_its_tensors():
    predictor, backbone = adapted("protonet-support"), Net()
    before = predictor.logits(EPISODE.query.x)
    module = predictor.to_module("logits")
    with torch.no_grad():
        for value in (*module.parameters(), *module.buffers()):
            value.zero_()
    assert torch.equal(predictor.logits(EPISODE.query.x), before)
    learner = ProtoNet(backbone, norm="frozen")
    kept = copy.deepcopy(backbone.state_dict())
    learner.adapt(EPISODE.support, EPISODE.task).to_module().half()
    assert all(torch.equal(value, kept[name]) for name, value in backbone.state_dict().items())


@pytest.mark.parametrize("images", ["bytes", "floats"])
@pytest.mark.parametrize("where", ["before", "inside", "nowhere"])
def test_images_are_normalised_in_the_module(images, where):
    episode = Episodes(EpisodeSampler(toys.multiclass(60), shots=2, queries=2, seed=0))[3]
    options = {"channels": 4, "in_channels": 3, "grey": "expand"}
    record = backbones.WeightRecord(
        name="w", source="s", sha256="0" * 64, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4)
    )
    spec = backbones.BackboneSpec(
        "conv4", options, record if where == "inside" else None, normalises=where == "inside"
    )
    normalise = Normalise((0.5,), (0.25,)) if where == "before" else None
    learner = FineTune(backbones.build(spec), steps=1, normalise=normalise)
    predictor = learner.adapt(episode.support, episode.task)
    assert episode.query.x.dtype == torch.uint8
    query = episode.query.x if images == "bytes" else episode.query.x / 255
    expected = predictor(query).probabilities
    torch.testing.assert_close(predictor.to_module()(query), expected, rtol=1e-4, atol=1e-5)


def test_a_backbone_that_has_changed_is_refused():
    backbone = Net()
    predictor = ProtoNet(backbone, norm="support").adapt(EPISODE.support, EPISODE.task)
    before = predictor.to_module()(EPISODE.query.x)
    backbone.norm1.eps = 0.5
    with pytest.raises(InputError, match="Net was changed after this predictor was made"):
        predictor.to_module()
    backbone.norm1.eps = 1e-5
    assert torch.equal(predictor.to_module()(EPISODE.query.x), before)


def test_a_module_can_be_copied_and_saved():
    module = adapted("ridge").to_module(transductive=True)
    twin = copy.deepcopy(module)
    assert isinstance(twin, PlainPredictor)
    twin.load_state_dict(module.state_dict())
    assert torch.equal(twin(EPISODE.query.x), module(EPISODE.query.x))


# `make packages` tries more.
TRACED = [
    ("maml++weights", "ordinal-cumulative_link"),
    ("maml-support", "ordinal-coral"),
    ("ridge", "ordinal-corn"),
    ("protonet-cosine", "binary"),
    ("logistic-mean", "ordinal"),
    ("simple-shot", "multilabel"),
]


@pytest.mark.long
@pytest.mark.parametrize(("algorithm", "target"), TRACED)
# torch.jit is being replaced; a TracerWarning says that Python looked at a shape.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::torch.jit.TracerWarning")
def test_torch_exports_traces_and_compiles_the_module(algorithm, target):
    images = episode_of(TARGETS[target]).query.x
    module = module_of(adapted(algorithm, target))
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    torch.compiler.reset()
    ways = {
        "torch.export": torch.export.export(module, (images,), dynamic_shapes=shapes).module(),
        "torch.jit.trace": torch.jit.trace(module, images),
        # The backend `eager` needs no C++ compiler.
        "torch.compile": torch.compile(module, backend="eager", fullgraph=True, dynamic=True),
    }
    for name, way in ways.items():
        for count in (len(images), 2, 5):
            assert torch.allclose(way(images[:count]), module(images[:count]), atol=1e-9), name


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    "call",
    [
        lambda predictor, images: torch.compile(predictor, backend="eager")(images),
        lambda predictor, images: torch.compile(predictor.logits, backend="eager")(images),
        lambda predictor, images: torch.jit.trace(predictor, images),
        lambda predictor, images: torch.jit.trace(predictor.logits, images),
        lambda predictor, images: torch.onnx.export(
            predictor, (images,), io.BytesIO(), dynamo=False
        ),
        lambda predictor, images: predictor.eval(),
        lambda predictor, images: predictor.state_dict(),
    ],
)
def test_a_predictor_itself_refuses_and_names_the_module(call):
    predictor = adapted("protonet")
    with pytest.raises((InputError, AttributeError), match=r"predictor\.to_module\(\)"):
        call(predictor, EPISODE.query.x)
    assert torch.isfinite(predictor.logits(EPISODE.query.x)).all()


def test_other_names_are_missing_as_always():
    predictor = adapted("protonet")
    with pytest.raises(AttributeError, match=r"no attribute 'logit'$"):
        predictor.logit(EPISODE.query.x)
    assert not hasattr(predictor, "parameters")
    assert torch.equal(
        copy.copy(predictor).logits(EPISODE.query.x), predictor.logits(EPISODE.query.x)
    )
