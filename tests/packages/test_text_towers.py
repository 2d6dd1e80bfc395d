"""Text towers of open_clip itself, at a tiny configuration saved as a hub snapshot lies on disk."""

import json

import open_clip
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file

from tests.experiment.conftest import Toys, toy_experiment
from tests.packages.snapshots import (
    CLIP,
    COMMIT,
    MEAN,
    SIDE,
    STD,
    in_cache,
    model_of_open_clip,
    model_of_timm,
    sha256,
)
from torchcross.algorithms import TextLogistic, TextPrototypes
from torchcross.backbones import from_address, text_tower
from torchcross.episode import Batch
from torchcross.errors import InputError
from torchcross.experiment import run_experiment, write_page
from torchcross.targets import Binary, MultiClass, MultiLabel, Ordinal
from torchcross.task import Task
from torchcross.text import class_prompts, text_vectors

TEXT = {"context_length": 77, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 2}
TARGETS = {
    "binary": Binary(["benign", "malignant"]),
    "multiclass": MultiClass(["disc", "star", "ring"]),
    "multilabel": MultiLabel(["cyst", "edema"]),
    "ordinal": Ordinal({0: "none", 1: "some", 4: "severe"}),
}


@pytest.fixture
def folder(tmp_path):
    model_of_open_clip(tmp_path / "model", text_cfg=TEXT)
    return tmp_path / "model"


def images(count=5):
    return torch.rand(count, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))


def normalised(pixels):
    mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (MEAN, STD))
    return (pixels - mean) / std


@pytest.mark.parametrize("changes", [{}, {"quick_gelu": True}])
def test_a_tower_embeds_as_open_clip_does(tmp_path, changes):
    folder = tmp_path / "model"
    model_of_open_clip(folder, text_cfg=TEXT, **changes)
    tower = text_tower(f"open_clip:{folder}")
    theirs = open_clip.create_model(f"local-dir:{folder}").eval()
    texts = ["an image of a star", "nothing", "a disc " * 80]
    with torch.no_grad():
        tokens = open_clip.get_tokenizer(f"local-dir:{folder}")(texts)
        expected = theirs.encode_text(tokens)
    torch.testing.assert_close(tower.embed(texts), expected, rtol=1e-6, atol=1e-6)
    assert tower.scale == pytest.approx(float(theirs.logit_scale.detach().exp()))
    assert (tower.width, tower.sha256) == (12, sha256(folder / "open_clip_model.safetensors"))


@pytest.mark.parametrize("kind", TARGETS)
@torch.no_grad()
def test_zero_shot_logits_are_those_of_open_clip(folder, kind):
    address, task = f"open_clip:{folder}", Task("oct/finding", TARGETS[kind], "OCT")
    texts = text_vectors(text_tower(address), class_prompts(task, templates=["a {class_name}"]))
    backbone = from_address(address)
    theirs = open_clip.create_model(f"local-dir:{folder}").eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    words = theirs.encode_text(
        tokenizer([f"a {name}" for name in (*task.classes, "nothing")]), normalize=True
    )
    seen = theirs.encode_image(normalised(images()), normalize=True)
    scores = theirs.logit_scale.exp() * seen @ words.T
    expected = {
        "binary": lambda: scores[:, 1:2] - scores[:, :1],
        "multilabel": lambda: scores[:, :-1] - scores[:, -1:],
    }.get(kind, lambda: scores[:, :-1])()
    labels = torch.zeros((0, *task.target.label_shape), dtype=torch.int64)
    none = Batch(images()[:0], labels)
    for algorithm in (TextPrototypes(backbone, texts), TextLogistic(backbone, texts)):
        logits = algorithm.adapt(none, task).logits(images())
        torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_a_tower_in_the_cache_of_the_hub(folder, tmp_path, monkeypatch):
    in_cache(tmp_path / "cache", "small/clip", folder)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    tower = text_tower("open_clip:small/clip", cache=tmp_path / "cache")
    assert tower.revision == COMMIT
    texts = ["a star", "a disc"]
    here = text_tower(f"open_clip:{folder}")
    assert torch.equal(tower.embed(texts), here.embed(texts))
    similar = F.cosine_similarity(*here.embed(texts), dim=0)
    assert float(similar) < 0.9999


def test_models_without_a_text_tower_are_refused(folder, tmp_path):
    model_of_timm(tmp_path / "timm")
    with pytest.raises(InputError, match="has no text tower; give an address of open_clip"):
        text_tower(f"timm:{tmp_path / 'timm'}")
    path = folder / "open_clip_model.safetensors"
    tensors = load_file(path)
    visual = {name: value for name, value in tensors.items() if name.startswith("visual.")}
    save_file(visual, path)
    with pytest.raises(InputError, match="has no text tower"):
        text_tower(f"open_clip:{folder}")
    cut = {name: value for name, value in tensors.items() if "ln_final.weight" not in name}
    save_file(cut, path)
    with pytest.raises(InputError, match=r"lacks 'ln_final\.weight' of its text tower"):
        text_tower(f"open_clip:{folder}")
    assert CLIP["embed_dim"] == 12


def test_a_run_has_zero_shot_and_blended_cells(tmp_path, monkeypatch):
    """From one folder of a model: features of its image tower, texts of its text tower."""
    monkeypatch.setattr(
        "torchcross.experiment.run.targets.open_collection", lambda kind, folder, **how: Toys()
    )
    model_of_open_clip(tmp_path / "model", text_cfg=TEXT)
    experiment = toy_experiment(
        **{"algorithms": ["text", "text+logistic"], "shots": [0, 1], "data.targets": TOYS},
        **{"model.backbone": {"name": f"open_clip:{tmp_path / 'model'}", "image_size": 16}},
        **{"model.backbone.grey": "expand", "model.normalisation": ""},
        **{"text.templates": ["a {class_name}", "{task_name}: {class_name}"]},
    )
    outcome = run_experiment(experiment, tmp_path / "run")
    assert outcome.complete, outcome.failures
    zero = [
        outcome.records.where(algorithm=name, shots=0).columns["value"].tolist()
        for name in ("text", "text+logistic")
    ]
    assert zero[0] == pytest.approx(zero[1], nan_ok=True)
    texts = json.loads((tmp_path / "run" / "protocol.json").read_text())["texts"]
    assert texts["models"][0]["sha256"] == sha256(
        tmp_path / "model" / "open_clip_model.safetensors"
    )
    assert set(texts["prompts"]) == set(TOYS)
    assert write_page(tmp_path / "run").is_file()


TOYS = ["hole", "shapes", "specks"]
