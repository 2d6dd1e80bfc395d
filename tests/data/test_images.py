"""Pixels of every mode of Pillow's, through every source that takes its images."""

from __future__ import annotations

import io

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

import torchcross as tx
from medimeta_adapter.preprocess import ScaleByBits
from tests.medimeta.convert_cases import DEEP
from torchcross._kit.colour_depth import loses_bits
from torchcross.data.sources.flattening import PLAIN
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
    assert "laid over black; give background='white' or 'grey' (--" in str(caught[0].message)
    source = tx.ImageFolderSource(tmp_path / "pets", background="black")
    with pytest.warns(TorchcrossWarning) as caught:
        source.read([0, 1])
    source.read([1])  # a second warning would be an error here
    assert len(caught) == 1
    assert from_folder(tmp_path, image).min() == 0
    with pytest.warns(TorchcrossWarning, match="sample 0 of source"):
        from_hugging_face(image, mode="L", background="black")


def test_premultiplied_grey_has_the_background_too() -> None:
    image = hidden_red("LA").convert("La")
    assert (np.array(PLAIN.flat(image))[..., 0] == 255).tolist() == [[True, True], [True, False]]


def test_a_warning_of_one_kind_silences_no_other(tmp_path) -> None:
    from_folder(tmp_path, Image.fromarray(np.zeros((4, 4), dtype=np.uint8)))
    ghost = Image.new("RGBA", (4, 4), (255, 255, 255, 0))
    ghost.putpixel((0, 0), (255, 255, 255, 255))
    ghost.save(tmp_path / "pets" / "cat" / "a.png")
    Image.fromarray(TWELVE).save(tmp_path / "pets" / "dog" / "a.png")
    source = tx.ImageFolderSource(tmp_path / "pets")
    with pytest.warns(TorchcrossWarning, match="becomes one colour"):
        source.read([0])
    with pytest.warns(TorchcrossWarning, match="give --bits 12"):
        source.read([1])


def test_a_background_that_is_none_is_refused(tmp_path) -> None:
    with pytest.raises(SourceError, match="background='green'; it is 'white', 'grey', 'black'"):
        from_folder(tmp_path, hidden_red("RGBA"), background="green")


# -- depth -----------------------------------------------------------------------------------------

TWELVE = np.linspace(0, 4095, 16).round().reshape(4, 4).astype(np.uint16)


@pytest.mark.parametrize("bits", range(8, 17))
def test_bits_scale_as_the_converter_does(bits, tmp_path) -> None:
    most = (1 << bits) - 1
    values = np.linspace(0, most, 16).round().reshape(4, 4).astype(np.uint16)
    expected = np.asarray(ScaleByBits(bits)(values))
    image = Image.fromarray(values)
    assert np.array_equal(from_folder(tmp_path, image, mode="L", bits=bits)[0], expected)
    assert np.array_equal(from_hugging_face(image, mode="L", bits=bits)[0], expected)


@pytest.mark.parametrize("bits", [None, 12])
def test_eight_bits_stay_as_they_are(bits, tmp_path) -> None:
    read = from_folder(tmp_path, Image.fromarray(RAMP), mode="L", bits=bits)
    assert np.array_equal(read[0], RAMP)


@pytest.mark.parametrize(("most", "bits"), [(100, 8), (256, 9), (4095, 12)])
def test_values_that_leave_most_of_16_bits_empty_are_warned_of_once(most, bits, tmp_path) -> None:
    image = Image.fromarray((TWELVE * (most / 4095)).round().astype(np.uint16))
    with pytest.warns(TorchcrossWarning, match=rf"sample 0, file .*a\.png, .* give --bits {bits} "):
        read = from_folder(tmp_path, image, mode="L")
    assert read.max() == round(most / 257), "and they are read as before"
    source = tx.ImageFolderSource(tmp_path / "pets")
    with pytest.warns(TorchcrossWarning, match="no value above") as caught:
        source.read([0, 1])
    source.read([1])  # a second warning would be an error here
    assert len(caught) == 1
    with pytest.warns(TorchcrossWarning, match=f"sample 0 of .* give --bits {bits} "):
        from_hugging_face(image, mode="L")


@pytest.mark.parametrize("values", [TWELVE + 1, TWELVE * 0])
def test_values_that_say_nothing_of_their_depth_are_not_warned_of(values, tmp_path) -> None:
    from_folder(tmp_path, Image.fromarray(values.astype(np.uint16)), mode="L")


def test_a_transparent_value_says_nothing_of_the_depth(tmp_path) -> None:
    values = TWELVE.copy()
    values[1, 1] = 65535
    save = {"transparency": 65535}
    with pytest.warns(TorchcrossWarning, match="give --bits 12 "):
        from_folder(tmp_path, Image.fromarray(values), save=save)
    read = from_folder(tmp_path, Image.fromarray(values), save=save, mode="L", bits=12)
    assert (read[0, 1, 1], read[0, 3, 3], read[0, 0, 0]) == (255, 255, 0)


@pytest.mark.parametrize("name", DEEP)
def test_channels_that_lose_bits_are_named_once(name, tmp_path) -> None:
    """Pillow reads the upper 8 of their 16 bits, and says nothing."""
    files = [tmp_path / folder / "a.png" for folder in PETS.target.classes]
    for file in files:
        file.parent.mkdir()
        file.write_bytes(DEEP[name])
    said = "more than 8 bits for each channel"
    source = tx.ImageFolderSource(tmp_path, PETS)
    with pytest.warns(TorchcrossWarning, match=said) as caught:
        source.read([0, 1])
    texts = [str(each.message) for each in caught if said in str(each.message)]
    assert [text.partition(" of ")[0] for text in texts] == [f"sample 0, file {files[0]},"]
    images = [Image.open(file) for file in files]
    with pytest.warns(TorchcrossWarning, match=f"item . of .* {said}"):
        tx.DatasetSource(images, PETS, labels=[0, 1]).read([0, 1])


@pytest.mark.parametrize("name", DEEP)
def test_bits_do_not_apply_to_channels_that_lose_bits(name, tmp_path) -> None:
    for folder in PETS.target.classes:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(DEEP[name])
    source = tx.ImageFolderSource(tmp_path, PETS, bits=12)
    said = r"a\.png: it has several channels of more than 8 bits.* --bits 12 \(in Python, bits=12\)"
    with pytest.raises(ReadError, match=rf"{said} applies to grey files of one channel alone: sca"):
        source.read([0])


def test_eight_bits_in_an_unusual_file_lose_nothing() -> None:
    """Numbers as text, and values with a sign."""
    signed = bytearray(DEEP["jpeg 2000"])
    signed[signed.index(b"\xff\x4f\xff\x51") + 42] = 0x80 | 7
    for content in (b"P3 1 1 255 1 2 3", bytes(signed)):
        image = Image.open(io.BytesIO(content))
        before = image.fp.tell()
        assert not loses_bits(image)
        assert image.fp.tell() == before
    assert loses_bits(Image.open(io.BytesIO(b"P3 1 1 256 1 2 3")))


def test_values_above_the_bits_are_an_error_that_says_how_many_they_need(tmp_path) -> None:
    with pytest.raises(
        ReadError,
        match=r"a\.png: its values reach 4095, and 11 bits hold 0\.\.2047; give --bits 12",
    ):
        from_folder(tmp_path, Image.fromarray(TWELVE), bits=11)


@pytest.mark.parametrize("bits", [7, 17, 12.0, True, "12"])
def test_bits_that_are_no_depth_are_refused(bits, tmp_path) -> None:
    with pytest.raises(SourceError, match="no depth of an image; give 8 to 16"):
        from_folder(tmp_path, Image.fromarray(TWELVE), bits=bits)


def test_bits_need_a_mode_of_a_dataset() -> None:
    with pytest.raises(SourceError, match="got bits=12 and no mode"):
        from_hugging_face(Image.fromarray(TWELVE), bits=12)
