"""`torchcross export`: what it writes, and what it refuses."""

import sys

import numpy as np
import pytest
import torch

from tests.command_line import refused, run
from torchcross import backbones
from torchcross.algorithms import ProtoNet
from torchcross.data import Episodes, EpisodeSampler, toys

EPISODE = Episodes(EpisodeSampler(toys.ordinal(60, size=16), shots=2, queries=2, seed=0))[0]


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A predictor with fixed statistics, a transductive one, and its support images."""
    monkeypatch.chdir(tmp_path)
    for name, norm in (("fixed", "support"), ("batch", "batch")):
        learner = ProtoNet(backbones.conv4(4, grey="expand"), norm=norm)
        learner.adapt(EPISODE.support, EPISODE.task).save(f"{name}.safetensors")
    np.save("support.npy", EPISODE.support.x.numpy())
    np.save("flat.npy", EPISODE.support.x.numpy()[0, 0])
    return tmp_path


@pytest.mark.long
def test_export_writes_a_file_and_says_how_close_it_is(files, capsys):
    arguments = ("export", "fixed.safetensors", "--to", "torch-export", "--out", "p.pt2")
    status, out, err = run(capsys, *arguments)
    assert (status, err) == (0, "")
    assert out.startswith("p.pt2: as the predictor, up to ")
    shape = torch.export.load("p.pt2").module()(EPISODE.query.x / 255).shape
    assert shape == (len(EPISODE.query), EPISODE.task.target.num_classes)
    assert "p.pt2 is there already; give another --out, or --force" in refused(capsys, *arguments)
    fixed = ("export", "batch.safetensors", "--to", "torch-export", "--support", "support.npy")
    assert run(capsys, *fixed, "--out", "p.pt2", "--force", "--images", "uint8", "--logits")[0] == 0
    torch.export.load("p.pt2").module()(EPISODE.query.x)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("none.safetensors", "--out", "p"), "none.safetensors cannot be read"),
        (("batch.safetensors", "--out", "p"), "torchcross export has --support and --transductive"),
        (("fixed.safetensors",), "the following arguments are required: --out"),
        (("fixed.safetensors", "--out", "p", "--to", "tflite"), "invalid choice: 'tflite'"),
        (("fixed.safetensors", "--out", "p", "--image-shape", "16"), "3x64x64"),
        (("fixed.safetensors", "--out", "p", "--image-shape", "3x0x16"), "3x64x64"),
        (("fixed.safetensors", "--out", "none/p"), "there is no folder none"),
        (("fixed.safetensors", "--out", ".", "--force"), "is a folder"),
        (
            ("fixed.safetensors", "--out", "p", "--support", "support.npy"),
            "policy 'support' fixes the statistics",
        ),
        (("batch.safetensors", "--out", "p", "--support", "none.npy"), "none.npy cannot be read"),
        (("batch.safetensors", "--out", "p", "--support", "flat.npy"), "no array (N, C, H, W)"),
        (
            ("batch.safetensors", "--out", "p", "--support", "s.npy", "--transductive"),
            "not allowed with argument",
        ),
        (("fixed.safetensors", "--out", "p", "--module", "tests.cli.modules:net"), "lacks"),
    ],
)
def test_what_cannot_be_exported(files, capsys, arguments, said):
    if "--to" not in arguments:
        arguments = (*arguments, "--to", "torch-export")
    assert said in refused(capsys, "export", *arguments)
    assert not (files / "p").exists()


def test_without_onnx_the_error_says_what_to_install(files, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    said = refused(capsys, "export", "fixed.safetensors", "--out", "p.onnx")
    assert "pip install 'torchcross-fewshot[onnx]'" in said


def test_help_names_the_options(capsys):
    status, out, _ = run(capsys, "export", "--help")
    assert status == 0
    for option in ("--to", "--logits", "--images", "--support", "--transductive", "--force"):
        assert option in out
