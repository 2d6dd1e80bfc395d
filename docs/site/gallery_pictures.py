"""Makes the pictures of docs/gallery.md anew: runs its code, and takes parts of what it writes.

python -m docs.site.gallery_pictures

It needs a Chromium on PATH, and about a minute of one core.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image, ImageChops

from docs.site.pages import ROOT
from tests.report.devtools import Page, found_browser, opened
from tests.repository.markdown import fences
from tests.transfer.cats_scans_page import write_cats_scans

PAGE = ROOT / "docs" / "gallery.md"
PICTURES = ROOT / "docs" / "pictures" / "gallery"
LARGEST = 600_000
"""Bytes of all pictures together."""

_MARGIN = 12
_COLOURS = 128
_SHARPNESS = 1.5
"""Pixels of a picture for each pixel of the page."""

_BOX = """
(() => {
  document.querySelectorAll('details').forEach(each => each.open = true);
  document.querySelectorAll('nav').forEach(each => each.style.position = 'static');
  const chosen = path => {
    const all = [...document.querySelectorAll(path)], place = %s;
    return place === null ? all : [all.at(place)];
  };
  const boxes = %s.flatMap(chosen).map(each => each.getBoundingClientRect());
  const left = Math.min(...boxes.map(b => b.left)), right = Math.max(...boxes.map(b => b.right));
  const top = Math.min(...boxes.map(b => b.top)), bottom = Math.max(...boxes.map(b => b.bottom));
  return [left + scrollX, top + scrollY, right - left, bottom - top];
})()
"""


@dataclass(frozen=True)
class Part:
    """A picture: the file that the page's code writes, and the elements of it that are shown.

    place  which element of each selector; None: all
    """

    name: str
    file: str
    selectors: tuple[str, ...]
    place: int | None = 0
    width: int = 760


_FIRST, _FROZEN = "runs/first/report.html", "runs/frozen/report.html"
PARTS = (
    Part("curves", _FIRST, ("#curves .keys", "#curves figure"), None),
    Part("shots", _FIRST, ("#shots .keys", "#shots figure"), None),
    Part("episodes", _FIRST, ("#episodes figure",)),
    Part("episode", "episode.svg", ("svg",), width=920),
    Part("reliability", _FIRST, ("#calibration .keys", "#calibration figure"), -1),
    Part("confusion", _FIRST, ("#by-class .confusion",), -1),
    Part("ranks", _FROZEN, ("#across figure",), -1),
    Part("natural", "runs/compared/report.html", ("#natural figure",)),
    Part("transfer", "cats_scans/report.html", ("#results table",), width=1000),
)


def main() -> None:
    browser = found_browser()
    if browser is None:
        sys.exit("The pictures of the gallery need a Chromium on PATH")
    PICTURES.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        os.chdir(folder)
        _run_page()
        write_cats_scans(Path("cats_scans"))
        _save(Image.open("dataset.png"), "dataset")
        with opened(browser) as tab:
            for part in PARTS:
                _save(_picture(tab, part), part.name)
        os.chdir(ROOT)
    size = sum(path.stat().st_size for path in PICTURES.iterdir())
    sys.stdout.write(f"{len(PARTS) + 1} pictures: {size / 1000:.0f} kB\n")
    if size > LARGEST:
        sys.exit(f"The pictures of the gallery are larger than {LARGEST / 1000:.0f} kB together")


def _run_page() -> None:
    names: dict[str, object] = {"__name__": "gallery"}
    for fence in fences(PAGE.read_text(encoding="utf-8")):
        if fence.language == "python":
            exec(compile("\n" * (fence.line - 1) + fence.text, str(PAGE), "exec"), names)


def _picture(tab: Page, part: Part) -> Image.Image:
    tab.show_as("light", part.width, 1000, scale=_SHARPNESS)
    tab.open(Path(part.file))
    where = (json.dumps(part.place), json.dumps(part.selectors))
    left, top, width, height = tab.value(_BOX % where)
    box = {"x": left, "y": top, "scale": 1}
    size = {"width": width, "height": height}
    shot = tab.call(
        "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip={**box, **size}
    )
    return Image.open(io.BytesIO(base64.b64decode(shot["data"])))


def _save(picture: Image.Image, name: str) -> None:
    picture = without_margins(picture.convert("RGB"))
    # A palette takes a third of the bytes. This method keeps the colours of small marks.
    palette = picture.quantize(_COLOURS, method=Image.Quantize.MAXCOVERAGE)
    palette.save(PICTURES / f"{name}.png", optimize=True)


def without_margins(picture: Image.Image) -> Image.Image:
    """The picture with margins of one width around what is drawn on white."""
    drawn = ImageChops.difference(picture, Image.new("RGB", picture.size, "white")).getbbox()
    if drawn is None:
        sys.exit("A picture of the gallery is empty")
    left, top, right, bottom = drawn
    framed = Image.new("RGB", (right - left + 2 * _MARGIN, bottom - top + 2 * _MARGIN), "white")
    framed.paste(picture.crop(drawn), (_MARGIN, _MARGIN))
    return framed


if __name__ == "__main__":
    main()
