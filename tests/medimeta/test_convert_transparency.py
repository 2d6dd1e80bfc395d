"""Transparent parts of images: one background for all converters, recorded, and a warning."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medimeta_adapter.convert import About, ArrayTask, arrays, image_folder
from tests.command_line import run
from tests.medimeta.convert_cases import SMALL, Written, picture, save
from torchcross.data import ImageFolderSource
from torchcross.errors import ReadError, TorchcrossWarning


def drawing(value: int, *, stroke: int | None = None) -> Image.Image:
    """A drawing of one grey value, or of several, on a transparent ground: rows 0-3 of 8."""
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[:4, :, :3], pixels[:4, :, 3] = value, 255
    if stroke is not None:
        pixels[0, :, :3] = stroke
    return Image.fromarray(pixels)


def drawings(root: Path, value: int = 0) -> Path:
    for n in range(4):
        for name in ("disc", "star"):
            save(drawing(value), root / name / f"{n}.png")
    return root


def about(name: str) -> About:
    return About(id=name, domain="Drawings")


@pytest.mark.parametrize("background", ["white", "grey", "black"])
def test_the_converter_and_the_source_have_the_same_backgrounds(
    tmp_path: Path, background: str
) -> None:
    value = {"white": 255, "grey": 128, "black": 0}[background]
    root = drawings(tmp_path / "in", value=77)
    options = replace(SMALL, background=background)
    written = Written(image_folder(root, tmp_path / "out", about("one"), options=options))
    expected = np.repeat([77, value], 32).reshape(8, 8)
    assert (written.images[..., 0] == expected).all()
    assert f"alpha over {background}" in written.info["conversion"]["preprocessing"]
    source = ImageFolderSource(root, background=background)
    assert np.array_equal(source.read([0])[0, 0].numpy(), expected)


def test_white_is_the_default(tmp_path: Path) -> None:
    root = drawings(tmp_path / "in")
    written = Written(image_folder(root, tmp_path / "out", about("one"), options=SMALL))
    assert written.images[:, 4:].min() == 255
    assert ImageFolderSource(root).read([0])[0, :, 4:].min() == 255


def test_images_that_become_one_colour_are_named(tmp_path: Path) -> None:
    root = drawings(tmp_path / "in")
    save(drawing(255), root / "disc/2.png")
    save(drawing(255), root / "star/3.png")
    save(Image.new("RGBA", (8, 8), (255, 255, 255, 255)), root / "star/plain.png")
    save(drawing(255, stroke=3), root / "star/stroke.png")
    with pytest.warns(
        TorchcrossWarning,
        match=r"2 of 10 images .* one colour, .* over white: disc/2\.png, star/3\.png; give"
        r" background='grey' \(--background grey\) or",
    ):
        image_folder(root, tmp_path / "out", about("one"), options=SMALL)
    options = replace(SMALL, background="grey")
    assert image_folder(root, tmp_path / "grey", about("one"), options=options).written == 10


def test_an_interrupted_conversion_names_them_all_when_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = drawings(tmp_path / "in")
    save(drawing(255), root / "disc/2.png")
    save(drawing(255), root / "star/3.png")
    save(Image.new("RGBA", (8, 8), (255, 255, 255, 255)), root / "star/plain.png")
    monkeypatch.setattr("medimeta_adapter.convert.engine._LARGEST_BATCH", 4)
    monkeypatch.setattr("medimeta_adapter.writing.writer._COMMIT_ROWS", 4)
    monkeypatch.setattr("medimeta_adapter.convert.resumed._LOOKS", 1)
    whole = root / "star/2.png"
    content, times = whole.read_bytes(), (whole.stat().st_atime_ns, whole.stat().st_mtime_ns)
    whole.write_bytes(b"no image")
    with pytest.warns(TorchcrossWarning, match="of 9 images"), pytest.raises(ReadError):
        image_folder(root, tmp_path / "out", about("one"), options=SMALL)
    whole.write_bytes(content)
    os.utime(whole, ns=times)
    with pytest.warns(TorchcrossWarning, match=r"2 of 9 images .*: disc/2\.png, star/3\.png;"):
        image_folder(root, tmp_path / "out", about("one"), options=SMALL)


def test_arrays_that_become_one_colour_are_named(tmp_path: Path) -> None:
    images = np.stack([np.asarray(drawing(value)) for value in (255, 0) * 5])
    tasks = [ArrayTask("parity", "binary", np.arange(10) % 2)]
    with pytest.warns(TorchcrossWarning, match=r"5 of 10 .*: images\[0\], images\[2\]"):
        arrays(images, tasks, tmp_path, about("one"), options=SMALL)


def test_palettes_and_transparent_values_have_a_background_too(tmp_path: Path) -> None:
    palette = Image.fromarray(np.repeat([[0, 1]], 8, axis=0).repeat(4, axis=1).astype(np.uint8))
    palette = palette.convert("P")
    palette.putpalette([9, 9, 9, 200, 200, 200])
    (tmp_path / "in/a").mkdir(parents=True)
    palette.save(tmp_path / "in/a/palette.png", transparency=0)
    deep = np.full((8, 8), 25700, np.uint16)
    deep[:, :4] = 7
    Image.fromarray(deep).save(tmp_path / "in/a/deep.png", transparency=7)
    Image.fromarray(deep > 7).save(tmp_path / "in/a/two_values.png", transparency=0)
    save(picture(5, size=8), tmp_path / "in/b/0.png")
    from medimeta_adapter.preprocess import ScaleByBits

    options = replace(SMALL, depth=ScaleByBits(16), channels=1, background="grey")
    written = Written(image_folder(tmp_path / "in", tmp_path / "out", about("x"), options=options))
    source = ImageFolderSource(tmp_path / "in", mode="L", background="grey")
    for images in (written.images, source.read(range(4))[:, 0].numpy()):
        assert images[0, 0].tolist() == [128] * 4 + [100] * 4
        assert images[1, 0].tolist() == [128] * 4 + [200] * 4
        assert images[2, 0].tolist() == [128] * 4 + [255] * 4


def test_the_command_warns_in_a_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    root = drawings(tmp_path / "in", value=255)
    where = ["--out", tmp_path / "out", "--id", "one", "--domain", "Drawings", "--size", "8"]
    status, out, err = run(capsys, "data", "convert", "imagefolder", root, *where)
    assert status == 0
    assert out.startswith(f"{tmp_path / 'out/one'}: 8 of 8 rows")
    assert err.startswith(
        f"torchcross: warning: 8 of 8 images of image folder in ({root}) become one colour"
    )
    more = [*where, "--background", "black", "--overwrite"]
    assert run(capsys, "data", "convert", "imagefolder", root, *more)[2] == ""
