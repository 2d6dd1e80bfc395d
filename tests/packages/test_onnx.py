"""ONNX files of predictors, read by onnxruntime: both of torch's exporters, and our own files."""

import io
import json

import pytest
import torch

from tests.algorithms.cases import ALGORITHMS, NEEDS_PROTO, NOT_LINEAR, TARGETS, Net, episode_of
from torchcross import backbones
from torchcross.algorithms import MAML, ProtoNet
from torchcross.cli import main
from torchcross.data import Episodes, EpisodeSampler, toys
from torchcross.interop import export_predictor

pytest.importorskip("onnx", reason="`make packages` installs it")
pytest.importorskip("onnxscript", reason="`make packages` installs it")
onnxruntime = pytest.importorskip("onnxruntime", reason="`make packages` installs it")

# The exporters warn of their own deprecations, and legacy traces of every shape that Python sees.
pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]

BATCHES = (6, 1, 2, 5)
# Each form of head with each target, each BatchNorm policy, and the rest of the algorithms once.
HEADS = ("maml-support", "protonet-support", "protonet-cosine", "ridge", "logistic-mean")
CELLS = [
    *((algorithm, target) for algorithm in HEADS for target in TARGETS),
    *((algorithm, "multiclass") for algorithm in ALGORITHMS if algorithm not in HEADS),
]


def predictor_of(algorithm, target):
    torch.manual_seed(0)
    episode = episode_of(TARGETS[target])
    net = Net().float()
    learner = ALGORITHMS[algorithm](net, TARGETS[target]).float()
    support = type(episode.support)(episode.support.x.float(), episode.support.y)
    return learner.adapt(support, episode.task), episode.query.x.float()


def by_dynamo(module, images):
    shapes = ({0: torch.export.Dim("batch", min=1)},)
    program = torch.onnx.export(
        module, (images,), dynamo=True, dynamic_shapes=shapes, verbose=False
    )
    return program.model_proto.SerializeToString()


def by_tracing(module, images):
    file = io.BytesIO()
    axes = {"images": {0: "batch"}, "outputs": {0: "batch"}}
    torch.onnx.export(
        module,
        (images,),
        file,
        dynamo=False,
        input_names=["images"],
        output_names=["outputs"],
        dynamic_axes=axes,
    )
    return file.getvalue()


def outputs_of(model, images):
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    return torch.from_numpy(output)


@pytest.mark.parametrize("export", [by_dynamo, by_tracing])
@pytest.mark.parametrize(("algorithm", "target"), CELLS)
def test_both_exporters_take_the_module(export, algorithm, target):
    assert algorithm not in NEEDS_PROTO or target not in NOT_LINEAR
    predictor, images = predictor_of(algorithm, target)
    module = predictor.to_module(transductive=predictor.protocol["norm"] == "batch")
    model = export(module, images)
    for count in BATCHES:
        expected = predictor(images[:count]).probabilities
        torch.testing.assert_close(
            outputs_of(model, images[:count]), expected, rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize(
    "make",
    [
        lambda: backbones.conv4(8, grey="expand"),
        lambda: backbones.resnet18(grey="expand", stem="small"),
        lambda: backbones.mobilenet_v2(grey="expand"),
        lambda: backbones.small_vit(image_size=32, width=12, depth=1, heads=2, grey="expand"),
    ],
    ids=["conv4", "resnet18", "mobilenet_v2", "small_vit"],
)
@pytest.mark.parametrize("images", ["uint8", "float32"])
def test_the_librarys_backbones(make, images, tmp_path):
    source = toys.multiclass(60, size=32)
    episode = Episodes(EpisodeSampler(source, shots=2, queries=2, seed=0))[0]
    predictor = ProtoNet(make()).adapt(episode.support, episode.task)
    path = tmp_path / "p.onnx"
    has_norm = any(isinstance(layer, torch.nn.BatchNorm2d) for layer in make().modules())
    support = episode.support.x if has_norm else None
    export_predictor(predictor, path, images=images, support=support)
    query = episode.query.x if images == "uint8" else episode.query.x / 255
    expected = predictor.to_module(support=support)(query)
    torch.testing.assert_close(outputs_of(str(path), query), expected, rtol=1e-3, atol=1e-4)
    entries = onnxruntime.InferenceSession(path).get_modelmeta().custom_metadata_map
    assert json.loads(entries["torchcross.classes"]) == list(source.task.classes)
    assert entries["torchcross.target"] == "multiclass"
    assert json.loads(entries["torchcross.image_shape"]) == [1, 32, 32]
    assert json.loads(entries["torchcross.normalisation"])["left_alone"] is True


def test_the_command_writes_onnx(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    source = toys.binary(60, size=16)
    episode = Episodes(EpisodeSampler(source, shots=2, queries=2, seed=0))[0]
    learner = MAML(backbones.conv4(4, grey="expand"), steps=1, norm="running")
    predictor = learner.adapt(episode.support, episode.task)
    predictor.save("p.safetensors")
    assert main(["export", "p.safetensors", "--out", "p.onnx", "--logits"]) == 0
    assert "p.onnx: as the predictor, up to " in capsys.readouterr().out
    images = episode.query.x / 255
    torch.testing.assert_close(
        outputs_of("p.onnx", images), predictor.logits(images), rtol=1e-4, atol=1e-4
    )
