"""Vectors of classes: made of prompts, kept in files."""

import pickle

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from torchcross.errors import InputError, ReadError
from torchcross.targets import MultiClass, MultiLabel
from torchcross.task import Task
from torchcross.text import TaskTexts, TextVectors, text_vectors

TASK = Task("shape", MultiClass(["disc", "star", "ring"]), "ink")
LABELS = Task("parts", MultiLabel(["disc", "star"]), "ink")


def rows(count=4, width=5, seed=0):
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed))


def vectors(**options):
    return TextVectors(
        dict(zip(("disc", "star", "ring", "nothing"), rows(), strict=True)), **options
    )


class Letters:
    """A text tower: a text is how often it has each letter."""

    name, scale = "letters", 4.0

    def embed(self, texts):
        self.texts = texts
        return torch.tensor([[text.count(letter) for letter in "abcde"] for text in texts]).float()


def test_the_vector_of_a_class_is_the_mean_of_unit_vectors():
    made = text_vectors(Letters(), {"one": ("aab", "c"), "two": ("c",), None: ("d",)})
    expected = F.normalize(
        (
            F.normalize(torch.tensor([2.0, 1, 0, 0, 0]), dim=0) + torch.tensor([0.0, 0, 1, 0, 0])
        ).double()
        / 2,
        dim=0,
    )
    torch.testing.assert_close(made.vectors["one"], expected, rtol=1e-6, atol=1e-7)
    assert set(made.vectors) == {"one", "two", "nothing"}
    assert (made.scale, made.origin, made.width) == (4.0, "letters", 5)


def test_prototypes_are_in_the_order_of_the_target():
    made = vectors()
    assert torch.equal(made.prototypes(TASK)[1], made.vectors["star"])
    few = made.prototypes(TASK.restrict(["disc", "ring"]))
    assert torch.equal(few, torch.stack([made.vectors["disc"], made.vectors["ring"]]))
    labels = made.prototypes(LABELS)
    assert torch.equal(labels[:2], made.vectors["nothing"].expand(2, -1))
    assert torch.equal(labels[2:], torch.stack([made.vectors["disc"], made.vectors["star"]]))


def test_a_file_of_tensors_keeps_vectors_and_scale(tmp_path):
    made = vectors(scale=12.5)
    again = TextVectors.read(made.write(tmp_path / "texts.safetensors"))
    assert (again.digest, again.scale, again.origin) == (made.digest, 12.5, "texts.safetensors")
    assert vectors(scale=12).digest != made.digest
    # Vectors of several prompts, and those of one task before those of all.
    path = tmp_path / "more.safetensors"
    several = {"disc": rows(3), "star": rows()[1], "parts/star": rows()[2]}
    save_file({name: value.contiguous() for name, value in several.items()}, path)
    own = TextVectors.read(path, prefix="parts", scale=3)
    assert torch.equal(own.vectors["star"], TextVectors({"star": rows()[2]}).vectors["star"])
    assert (own.scale, TextVectors.read(path).scale) == (3, 100)


def test_rows_of_numpy_are_those_of_the_classes(tmp_path):
    path = tmp_path / "texts.npy"
    np.save(path, rows().numpy())
    made = TextVectors.read(path, TASK.classes)
    for name, value in vectors().vectors.items():
        torch.testing.assert_close(made.vectors[name], value)
    with pytest.raises(InputError, match="does not name its rows"):
        TextVectors.read(path)
    with pytest.raises(InputError, match="there are 2 classes"):
        TextVectors.read(path, ["a", "b"])
    np.save(path, np.array([{}]), allow_pickle=True)
    with pytest.raises(ReadError, match=r"no \.npy file of numbers"):
        TextVectors.read(path, TASK.classes)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({}, "got no vectors"),
        ({"a": torch.ones(3), "b": torch.ones(4)}, "unequal widths: {'a': 3, 'b': 4}"),
        ({"a": torch.zeros(3)}, "vector of 'a' is zero, not finite or too long"),
        ({"a": torch.tensor([1.0, torch.nan])}, "zero, not finite"),
        ({"a": torch.tensor([1.0, torch.inf])}, "zero, not finite"),
        ({"a": torch.full((3,), 1e200, dtype=torch.float64)}, "too long"),
        ({"a": torch.tensor([[1.0, 2], [0, 0]])}, "'a', of prompt 1, is zero"),
        ({"a": torch.tensor([[1.0, 2], [torch.inf, 0]])}, "'a', of prompt 1, is zero, not finite"),
        ({"a": torch.tensor([[1.0, 2], [-1, -2]])}, "of the prompts of 'a' cancel out"),
        ({"a": torch.ones(2, 0)}, "vector of 'a' is empty"),
        ({"a": torch.arange(3)}, "give floats"),
        ({"a": torch.ones(2, 2, 2)}, "give floats"),
    ],
)
def test_what_is_no_vector_is_refused(values, match):
    with pytest.raises(InputError, match=match):
        TextVectors(values)


HEADER = "{'descr': '%s', 'fortran_order': False, 'shape': %s, }"
HOSTILE = {
    "cut off": HEADER % ("<f8", "(3, 5)"),
    "far too large": HEADER % ("<f8", "(3, 99999999999999)"),
    "beyond integers": HEADER % ("<f8", "(3, 99999999999999999999999)"),
    "no size": HEADER % ("<f8", "(True, 4)"),
    "negative": HEADER % ("<f8", "(-3, -4)"),
    "objects": HEADER % ("|O", "(3, 4)"),
    "brackets": "(" * 3000,
    "no table": "{1, 2}",
}


@pytest.mark.parametrize("kind", [*HOSTILE, "pickle", "archive", "empty"])
def test_hostile_arrays_are_errors_that_name_the_file(tmp_path, kind):
    path = tmp_path / "texts.npy"
    if kind in HOSTILE:
        text = HOSTILE[kind].encode() + b"\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(96))
    elif kind == "archive":
        with path.open("wb") as file:
            np.savez(file, rows=rows().numpy())
    else:
        path.write_bytes(pickle.dumps([1, 2]) if kind == "pickle" else b"")
    with pytest.raises(ReadError, match=r"texts\.npy is no \.npy file of numbers"):
        TextVectors.read(path, TASK.classes)


@pytest.mark.parametrize("classes", [["disc", "star", "disc"], ["disc", "nothing"]])
def test_a_class_with_two_rows_is_refused_by_name(tmp_path, classes):
    np.save(tmp_path / "texts.npy", rows(3).numpy())
    with pytest.raises(InputError, match=rf"'{classes[-1]}' would have several rows"):
        TextVectors.read(tmp_path / "texts.npy", classes)


def test_bad_files_and_scales_are_named(tmp_path):
    with pytest.raises(InputError, match="the scale 0"):
        vectors(scale=0)
    with pytest.raises(ReadError, match="cannot be read"):
        TextVectors.read(tmp_path / "absent.safetensors")
    (tmp_path / "texts.txt").write_text("x")
    with pytest.raises(InputError, match="unknown ending"):
        TextVectors.read(tmp_path / "texts.txt")
    (tmp_path / "texts.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(ReadError, match="no safetensors file"):
        TextVectors.read(tmp_path / "texts.safetensors")
    with pytest.raises(InputError, match="no vector for 'disc', 'star', 'ring' of 'shape'"):
        TextVectors({"a": torch.ones(3)}).prototypes(TASK)


def test_tasks_with_texts_of_their_own():
    first, second = vectors(), TextVectors({"disc": rows(seed=1)[0], "star": rows(seed=1)[1]})
    other = Task("shape", TASK.target, "chalk")
    both = TaskTexts([(TASK, first), (other, second)])
    assert torch.equal(both.prototypes(TASK), first.prototypes(TASK))
    few = other.restrict(["disc", "star"])
    assert torch.equal(both.prototypes(few), second.prototypes(few))
    with pytest.raises(InputError, match="no texts for 'parts'"):
        both.prototypes(LABELS)
    with pytest.raises(InputError, match="take them from one model"):
        TaskTexts([(TASK, first), (other, TextVectors({"a": torch.ones(2)}))])


def test_the_refusal_of_a_class_without_a_vector_is_the_same_in_any_order():
    """Files of tensors come in no fixed order, and equal reasons are told once."""
    task = Task("kind", MultiClass(["kind 1", "kind 2", "kind 3"]), "ink")
    said = set()
    for names in (["kind 1", "kind 2", "kin 3"], ["kin 3", "kind 2", "kind 1"]):
        with pytest.raises(InputError) as refusal:
            TextVectors({name: torch.ones(3) for name in names}).prototypes(task)
        said.add(str(refusal.value).partition("; ")[2])
    # Those that are nearer have their class.
    assert said == {"did you mean 'kin 3'? There are 'kin 3', 'kind 1', 'kind 2'"}
