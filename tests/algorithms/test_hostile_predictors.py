"""Predictor files whose parts do not belong together are refused when they are read."""

import json

import pytest
import torch

from tests.algorithms.cases import TARGETS, Net, episode_of
from torchcross._kit import tensor_files
from torchcross.algorithms import (
    MAML,
    LogisticRegression,
    ProtoNet,
    Ridge,
    SimpleShot,
    load_predictor,
)
from torchcross.algorithms._shared.predictor_files import FORMAT
from torchcross.errors import InputError, ReadError

EPISODE = episode_of(TARGETS["multiclass"])
WEIGHT, BIAS = "head:head.weight", "head:head.bias"
MAKERS = {
    "linear": lambda: MAML(Net(), steps=1),
    "euclidean": lambda: ProtoNet(Net()),
    "cosine": lambda: ProtoNet(Net(), metric="cosine"),
    "ridge": lambda: Ridge(Net()),
    "logistic": lambda: LogisticRegression(Net(), C=(1, 10)),
    "centred": lambda: SimpleShot(Net()),
    "per_step": lambda: MAML(Net(), steps=2, norm="per_step", norm_weights="per_step"),
    "support": lambda: MAML(Net(), steps=1, norm="support"),
}


@pytest.fixture
def rewritten(tmp_path):
    """(which predictor, change of its tensors and record) -> the path of the file so changed."""

    def make(which, change):
        path = tmp_path / "predictor.safetensors"
        MAKERS[which]().double().adapt(EPISODE.support, EPISODE.task).save(path)
        tensors, metadata = tensor_files.read(path)
        record = json.loads(metadata[FORMAT])
        change(tensors, record)
        tensor_files.write(path, tensors, {FORMAT: json.dumps(record)})
        return path

    return make


def put(name, change):
    return lambda tensors, record: tensors.update({name: change(tensors[name])})


def drop(name):
    return lambda tensors, record: tensors.pop(name)


def say(**entries):
    return lambda tensors, record: record.update(entries)


@pytest.mark.parametrize("which", MAKERS)
def test_what_was_saved_is_read(rewritten, which):
    loaded = load_predictor(rewritten(which, lambda tensors, record: None), backbone=Net())
    assert torch.isfinite(loaded.logits(EPISODE.query.x)).all()


@pytest.mark.parametrize(
    ("which", "change", "match"),
    [
        ("linear", say(pixels={}), "no usable 'pixels'"),
        (
            "linear",
            say(pixels={"mean": "abc", "std": [1], "left_alone": True}),
            "no usable 'pixels'",
        ),
        (
            "linear",
            say(pixels={"mean": [0.5], "std": [0.0], "left_alone": False}),
            "no usable 'pixels'",
        ),
        (
            "linear",
            say(pixels={"mean": [0.5], "std": [], "left_alone": False}),
            "no usable 'pixels'",
        ),
        ("linear", say(pixels={"mean": [], "std": [], "left_alone": 1}), "no usable 'pixels'"),
        ("linear", say(step=-5), "no usable 'step'"),
        ("linear", say(step=True), "no usable 'step'"),
        ("linear", say(norm="none"), "no usable 'norm'"),
        ("per_step", say(step=3), "step 3"),
        ("linear", drop(BIAS), r"head.*lacks 'head\.bias'"),
        ("linear", say(form="cosine"), r"head.*lacks 'head\.prototypes'"),
        ("cosine", drop("head:head.scale"), r"head.*lacks 'head\.scale'"),
        (
            "linear",
            lambda tensors, record: tensors.update({"head:more": torch.zeros(1)}),
            "head.*'more'",
        ),
        ("linear", put(WEIGHT, lambda value: value[:2]), r"'head.weight' has the shape \(2, 4\)"),
        ("linear", put(WEIGHT, lambda value: value[0]), r"'head.weight' has the shape \(4,\)"),
        ("linear", put(BIAS, lambda value: value[:1]), r"'head.bias' has the shape \(1,\)"),
        (
            "euclidean",
            put("head:head.prototypes", lambda value: value[:2]),
            r"'head.prototypes' has the shape",
        ),
        (
            "cosine",
            put("head:head.scale", lambda value: value.expand(2)),
            r"'head.scale' has the shape",
        ),
        ("ridge", put(WEIGHT, lambda value: value[:, :1]), r"'head.weight' has the shape \(4, 1\)"),
        ("linear", put(BIAS, lambda value: value * float("nan")), "'head.bias' holds NaN"),
        ("logistic", put(WEIGHT, lambda value: value[:1]), r"do not fit each other.*\(1, 3, 4\)"),
        ("logistic", put(BIAS, lambda value: value[:, 1:]), r"'head.bias' has the shape \(2, 2\)"),
        ("centred", put("head:head.centre", lambda value: value[:1]), "do not fit each other"),
        (
            "linear",
            put("params:conv1.weight", lambda value: value / 0),
            "'conv1.weight' holds NaN or infinite",
        ),
        ("support", put("statistics:norm1#0.mean", lambda value: value[:1]), "'norm1#0.mean'"),
        (
            "support",
            put("statistics:norm1#0.variance", lambda value: value * float("nan")),
            "holds NaN",
        ),
        ("support", drop("statistics:norm1#0.variance"), "'norm1#0.variance'"),
        ("linear", put(WEIGHT, torch.Tensor.float), "'head.weight' is torch.float32"),
        ("linear", put(WEIGHT, torch.Tensor.long), "'head.weight' is torch.int64"),
        ("linear", put("params:conv1.weight", torch.Tensor.long), "'conv1.weight' is torch.int64"),
        (
            "linear",
            put("buffers:norm1.num_batches_tracked", torch.Tensor.double),
            "is torch.float64",
        ),
    ],
)
def test_parts_that_do_not_belong_together(rewritten, which, change, match):
    with pytest.raises((ReadError, InputError), match=rf"predictor\.safetensors.*{match}"):
        load_predictor(rewritten(which, change), backbone=Net())


def test_a_head_of_another_width_is_refused_where_it_meets_features(rewritten):
    path = rewritten("linear", put(WEIGHT, lambda value: value[:, :2]))
    with pytest.raises(InputError, match=r"makes 4 features and the head takes 2"):
        load_predictor(path, backbone=Net()).logits(EPISODE.query.x)


def test_parameters_of_several_kinds_are_refused_where_they_meet(rewritten):
    path = rewritten("linear", put("params:conv2.weight", torch.Tensor.float))
    with pytest.raises(InputError, match="of one dtype"):
        load_predictor(path, backbone=Net()).logits(EPISODE.query.x)
