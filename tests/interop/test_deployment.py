"""Predictors in files for use elsewhere; `make packages` reads the ONNX files."""

import json
import sys

import pytest
import torch

from torchcross import backbones
from torchcross.algorithms import MAML, MultiTask, ProtoNet
from torchcross.data import Episodes, EpisodeSampler, toys
from torchcross.episode import Batch
from torchcross.errors import InputError, MissingExtraError, WriteError
from torchcross.interop import deployment, export_predictor

SOURCE = toys.multilabel(60, size=16)
EPISODE = Episodes(EpisodeSampler(SOURCE, shots=2, queries=3, seed=0))[0]


def conv4():
    return backbones.conv4(4, in_channels=3, grey="expand")


@pytest.fixture(scope="module")
def predictor():
    return MAML(conv4(), steps=1, norm="support").adapt(EPISODE.support, EPISODE.task)


@pytest.mark.slow
@pytest.mark.parametrize("images", ["uint8", "float32"])
def test_a_torch_export_file_predicts_the_same(predictor, images, tmp_path):
    path = tmp_path / "p.pt2"
    error = export_predictor(predictor, path, "torch-export", images=images)
    assert error < 1e-5
    extra = {"torchcross.json": ""}
    module = torch.export.load(path, extra_files=extra).module()
    query = EPISODE.query.x if images == "uint8" else EPISODE.query.x / 255
    for count in (1, 2, len(query)):
        expected = predictor(query[:count]).probabilities
        torch.testing.assert_close(module(query[:count]), expected, rtol=1e-4, atol=1e-5)
    metadata = json.loads(extra["torchcross.json"])
    assert json.loads(metadata["torchcross.classes"]) == list(SOURCE.task.classes)
    assert metadata["torchcross.target"] == "multilabel"
    assert json.loads(metadata["torchcross.image_shape"]) == list(EPISODE.query.x.shape[1:])
    assert json.loads(metadata["torchcross.normalisation"])["left_alone"] is True
    assert metadata["torchcross.images"] == images


@pytest.mark.long
def test_logits_float64_and_statistics_of_the_support_set(tmp_path):
    path = tmp_path / "p.pt2"
    predictor = ProtoNet(conv4()).double().adapt(EPISODE.support, EPISODE.task)
    with pytest.raises(InputError, match="transductive"):
        export_predictor(predictor, path, "torch-export")
    export_predictor(predictor, path, "torch-export", logits=True, support=EPISODE.support.x)
    written = torch.export.load(path).module()(EPISODE.query.x / 255)
    assert written.dtype == torch.float32
    fixed = predictor.to_module("logits", support=EPISODE.support.x)
    torch.testing.assert_close(written, fixed(EPISODE.query.x).float(), rtol=1e-3, atol=1e-3)
    export_predictor(predictor, path, "torch-export", transductive=True, force=True)


def test_nothing_is_replaced_without_being_asked(predictor, tmp_path):
    path = tmp_path / "p.pt2"
    path.write_text("mine")
    with pytest.raises(InputError, match=r"p\.pt2 is there already.*force=True"):
        export_predictor(predictor, path, "torch-export")
    assert path.read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"to": "onx"}, "to='onx'"),
        ({"images": "int8"}, "images='int8'"),
        ({"image_shape": (3, 16)}, r"image_shape is \(3, 16\); give \(channels"),
        ({"image_shape": (2, 16, 16)}, "takes 3 channels and the images have 2"),
    ],
)
def test_wishes_that_cannot_be_met(predictor, options, match, tmp_path):
    with pytest.raises(InputError, match=match):
        export_predictor(predictor, tmp_path / "p", **{"to": "torch-export", **options})
    assert list(tmp_path.iterdir()) == []


def test_a_predictor_that_does_not_know_its_images(tmp_path):
    learner = MultiTask(conv4(), [SOURCE.task])
    with pytest.raises(InputError, match=r"does not know the shape.*give image_shape=\(channels"):
        export_predictor(learner.predictor(SOURCE.task), tmp_path / "p", "torch-export")


def test_a_predictor_of_stored_features(tmp_path):
    support = Batch(torch.zeros(len(EPISODE.support.x), 4), EPISODE.support.y)
    predictor = ProtoNet(backbones.vectors(4)).adapt(support, EPISODE.task)
    with pytest.raises(InputError, match=r"takes stored features, .*; adapt on images"):
        export_predictor(predictor, tmp_path / "p", "torch-export")


def test_onnx_that_is_not_installed(predictor, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(MissingExtraError, match=r"onnxscript.*torchcross-fewshot\[onnx\]"):
        export_predictor(predictor, tmp_path / "p.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_predicts_something_else_is_not_written(predictor, tmp_path, monkeypatch):
    def wrong(module, batches, metadata):
        return b"", [module(batch) + 0.01 for batch in batches]

    monkeypatch.setitem(deployment.WRITERS, "torch-export", wrong)
    with pytest.raises(WriteError, match=r"is not written: its outputs differ.*up to 1\.0e-02"):
        export_predictor(predictor, tmp_path / "p", "torch-export")

    def nan(module, batches, metadata):
        return b"", [module(batch) * float("nan") for batch in batches]

    monkeypatch.setitem(deployment.WRITERS, "torch-export", nan)
    with pytest.raises(WriteError, match="is not written"):
        export_predictor(predictor, tmp_path / "p", "torch-export")
    assert list(tmp_path.iterdir()) == []


class Undecided(torch.nn.Module):
    """A forward that looks at values, which no exporter can follow."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3))

    def forward(self, x):
        features = x.mean((2, 3)) * self.weight
        return features * 2 if features.sum() > 0 else features


def test_a_backbone_that_cannot_be_traced(tmp_path):
    predictor = ProtoNet(Undecided()).adapt(EPISODE.support, EPISODE.task)
    with pytest.raises(WriteError, match=r"exporter of torch\.export cannot take this backbone"):
        export_predictor(predictor, tmp_path / "p", "torch-export")
    assert list(tmp_path.iterdir()) == []
