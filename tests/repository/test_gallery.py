"""The pictures of the gallery: each is shown, `make pictures` makes each, and they are small."""

from __future__ import annotations

import re

import pytest
from PIL import Image, ImageDraw

from docs.site.gallery_pictures import LARGEST, PAGE, PARTS, PICTURES, without_margins
from tests.repository.markdown import fences


def test_the_page_shows_what_is_made() -> None:
    shown = re.findall(r"\]\(pictures/gallery/(\w+)\.png\)", PAGE.read_text(encoding="utf-8"))
    made = ["dataset", *(part.name for part in PARTS)]
    assert sorted(shown) == sorted(made) == sorted(path.stem for path in PICTURES.iterdir())


def test_the_pictures_are_small() -> None:
    assert sum(path.stat().st_size for path in PICTURES.iterdir()) <= LARGEST


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.name)
def test_the_code_of_the_page_writes_the_file_of_a_part(part) -> None:
    text = PAGE.read_text(encoding="utf-8")
    code = "".join(fence.text for fence in fences(text))
    folder = part.file.removesuffix("/report.html")
    assert folder in code


def test_margins_are_of_one_width() -> None:
    picture = Image.new("RGB", (200, 100), "white")
    ImageDraw.Draw(picture).rectangle((50, 20, 89, 39), fill="#00755a")
    framed = without_margins(picture)
    assert framed.size == (40 + 24, 20 + 24)
    assert framed.getpixel((11, 11)) == (255, 255, 255)
    assert framed.getpixel((12, 12)) == (0, 117, 90)
    with pytest.raises(SystemExit, match="empty"):
        without_margins(Image.new("RGB", (5, 5), "white"))
