"""Vectors of classes: made of prompts, kept in files."""

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
        ({"a": torch.zeros(3)}, "vector of 'a' is empty, zero or not finite"),
        ({"a": torch.tensor([1.0, torch.nan])}, "zero or not finite"),
        ({"a": torch.ones(2, 0)}, "empty, zero"),
        ({"a": torch.arange(3)}, "give floats"),
        ({"a": torch.ones(2, 2, 2)}, "give floats"),
    ],
)
def test_what_is_no_vector_is_refused(values, match):
    with pytest.raises(InputError, match=match):
        TextVectors(values)


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
