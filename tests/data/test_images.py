"""Pixels of every mode of Pillow's, through every source that takes its images."""

from __future__ import annotations

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

import torchcross as tx
from torchcross.errors import ReadError, SourceError, TorchcrossWarning
from torchcross.targets import MultiClass

PETS = tx.Task("pets", MultiClass(["cat", "dog"]))
VALUES = np.linspace(0, 63000, 16).reshape(4, 4).astype(np.uint16)
RAMP = np.arange(0, 240, 15, dtype=np.uint8).reshape(4, 4)


def coloured_palette() -> Image.Image:
    image = Image.fromarray(np.array([[0, 1], [2, 0]], dtype=np.uint8)).convert("P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    return image


def hidden_red(mode: str) -> Image.Image:
    """Red or black, all of it transparent but the last pixel."""
    pixels = np.zeros((2, 2, 4), dtype=np.uint8)
    pixels[..., 0], pixels[1, 1, 3] = 200, 255
    return Image.fromarray(pixels).convert(mode)


def from_folder(tmp_path, image: Image.Image, ending: str = "png", **options):
    for name in PETS.target.classes:
        (tmp_path / "pets" / name).mkdir(parents=True, exist_ok=True)
        image.save(tmp_path / "pets" / name / f"a.{ending}", **options.pop("save", {}))
    return tx.ImageFolderSource(tmp_path / "pets", **options).read([0])[0]


def from_dataset(image: Image.Image):
    return tx.DatasetSource([image, image], PETS, labels=[0, 1]).read([0])[0]


def from_hugging_face(image: Image.Image, **options):
    features = datasets.Features({"image": datasets.Image(), "label": datasets.Value("int64")})
    dataset = datasets.Dataset.from_dict({"image": [image] * 2, "label": [0, 1]}, features=features)
    return tx.HuggingFaceSource(dataset, PETS, **options).read([0])[0]


@pytest.mark.parametrize("ending", ["png", "tiff", "ppm"])
def test_sixteen_bits_are_scaled_to_eight(ending, tmp_path) -> None:
    expected = np.round(VALUES / 257).astype(np.uint8)
    found = from_folder(tmp_path, Image.fromarray(VALUES), ending, mode="L")
    assert found.dtype == torch.uint8
    assert np.array_equal(found[0], expected)
    assert len(found.unique()) == 16
    colour = from_folder(tmp_path, Image.fromarray(VALUES), ending)
    assert np.array_equal(colour, np.stack([expected] * 3))


def test_sixteen_bits_through_datasets() -> None:
    expected = torch.from_numpy(np.round(VALUES / 257).astype(np.uint8))
    assert torch.equal(from_hugging_face(Image.fromarray(VALUES), mode="L")[0], expected)
    kept = from_dataset(Image.fromarray(VALUES))
    assert kept.dtype == torch.uint16
    assert np.array_equal(kept[0].numpy(), VALUES)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_thirty_two_bits_are_refused_with_their_file(dtype, tmp_path) -> None:
    with pytest.raises(
        ReadError, match=r"sample 0, file .*a\.tiff: its pixels are 32-bit \([IF]\)"
    ):
        from_folder(tmp_path, Image.fromarray(VALUES.astype(dtype)), "tiff")


def test_palettes_are_expanded() -> None:
    colours = torch.tensor(
        [[[10, 40], [70, 10]], [[20, 50], [80, 20]], [[30, 60], [90, 30]]], dtype=torch.uint8
    )
    grey = Image.fromarray(RAMP).convert("P")
    for read in (from_dataset, from_hugging_face):
        assert torch.equal(read(coloured_palette()), colours)
        assert np.array_equal(read(grey)[0], RAMP)
        assert len(read(grey)) == 1
    assert len(from_hugging_face(grey, mode="RGB")) == 3
    assert from_hugging_face(coloured_palette(), mode="L", size=(5, 6)).shape == (1, 5, 6)


def test_bits_are_black_and_white(tmp_path) -> None:
    bits = Image.fromarray(RAMP > 100)
    expected = (RAMP > 100) * np.uint8(255)
    for found in (
        from_dataset(bits),
        from_hugging_face(bits),
        from_folder(tmp_path, bits, mode="L"),
    ):
        assert found.dtype == torch.uint8
        assert np.array_equal(found[0], expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode, tmp_path) -> None:
    if mode == "P":
        image = coloured_palette()
        image.info["transparency"] = bytes([0, 255, 0])
        clear = torch.tensor([[True, False], [True, True]])
    else:
        image, clear = hidden_red(mode), torch.tensor([[True, True], [True, False]])
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        found_by_all = [from_folder(tmp_path, image), from_hugging_face(opened, mode="RGB")]
        found_by_all += [from_dataset(opened)] if mode == "P" else []
    for found in found_by_all:
        assert bool((found[:, clear] == 255).all())
        assert bool((found[0][~clear] < 255).all())


def test_a_transparent_value_of_sixteen_bits_is_white(tmp_path) -> None:
    found = from_folder(
        tmp_path, Image.fromarray(VALUES), mode="L", save={"transparency": int(VALUES[1, 1])}
    )
    assert found[0, 1, 1] == 255


def test_other_colour_spaces_become_the_mode_asked_for(tmp_path) -> None:
    image = Image.new("RGB", (2, 2), (255, 0, 0)).convert("CMYK")
    assert from_folder(tmp_path, image, "tiff")[:, 0, 0].tolist() == [255, 0, 0]
    assert len(from_hugging_face(hidden_red("RGBA"))) == 4


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(orientation, tmp_path) -> None:
    image = Image.fromarray(
        np.stack([np.arange(6, dtype=np.uint8).reshape(2, 3) * 40] * 3, axis=-1)
    )
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = np.asarray(image)[..., 0]
    mirrored = stored[:, ::-1]
    upright = {
        1: stored,
        2: mirrored,
        3: np.rot90(stored, 2),
        4: stored[::-1],
        5: stored.T,
        6: np.rot90(stored, -1),
        7: np.rot90(stored, 2).T,
        8: np.rot90(stored),
    }[orientation]
    assert np.array_equal(from_folder(tmp_path, image, save={"exif": exif})[0], upright)
    with Image.open(tmp_path / "pets" / "cat" / "a.png") as opened:
        assert np.array_equal(from_dataset(opened)[0], upright)
        assert np.array_equal(from_hugging_face(opened)[0], upright)


# -- backgrounds -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("background", "value"), [("white", 255), ("grey", 128), ("black", 0)])
def test_every_source_has_the_same_backgrounds(background, value, tmp_path) -> None:
    image = coloured_palette()
    image.info["transparency"] = bytes([0, 255, 0])
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as opened:
        opened.load()
        images = [
            from_folder(tmp_path, image, background=background),
            from_hugging_face(opened, mode="RGB", background=background),
            tx.DatasetSource([opened, opened], PETS, labels=[0, 1], background=background).read(
                [0]
            )[0],
        ]
    for read in images:
        assert read[:, 0, 0].tolist() == [value] * 3
        assert read[:, 0, 1].tolist() == [40, 50, 60]


def test_a_picture_that_becomes_one_colour_is_named_once(tmp_path) -> None:
    pixels = np.zeros((2, 2, 4), dtype=np.uint8)
    pixels[0, 0, 3] = 255
    image = Image.fromarray(pixels)
    with pytest.warns(TorchcrossWarning) as caught:
        assert from_folder(tmp_path, image, background="black").max() == 0
    assert len(caught) == 1
    assert "sample 0, file " in str(caught[0].message)
    assert "laid over black; give background='white' or 'grey'" in str(caught[0].message)
    source = tx.ImageFolderSource(tmp_path / "pets", background="black")
    with pytest.warns(TorchcrossWarning) as caught:
        source.read([0, 1])
    source.read([1])  # a second warning would be an error here
    assert len(caught) == 1
    assert from_folder(tmp_path, image).min() == 0
    with pytest.warns(TorchcrossWarning, match="sample 0 of source"):
        from_hugging_face(image, mode="L", background="black")


def test_a_background_that_is_none_is_refused(tmp_path) -> None:
    with pytest.raises(SourceError, match="background='green'; it is 'white', 'grey', 'black'"):
        from_folder(tmp_path, hidden_red("RGBA"), background="green")
