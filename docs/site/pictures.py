"""Makes the picture of the README anew: the first screen of the page of `make demo`.

python -m docs.site.pictures [runs/demo/report.html]

It needs a Chromium on PATH.
"""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from tests.report.devtools import found_browser, opened

PICTURE = Path(__file__).parents[1] / "pictures" / "report.png"
WIDTH, HEIGHT = 1280, 1190
LARGEST = 200_000


def main(page: Path) -> None:
    browser = found_browser()
    if browser is None:
        sys.exit("make pictures needs a Chromium on PATH")
    if not page.exists():
        sys.exit(f"There is no {page}; run `make demo` first")
    with TemporaryDirectory() as folder:
        with opened(browser) as tab:
            tab.show_as("light", WIDTH, HEIGHT)
            tab.open(page)
            tab.screenshot(Path(folder) / "page.png")
        picture = Image.open(Path(folder) / "page.png").convert("RGB")
    PICTURE.parent.mkdir(exist_ok=True)
    # A page has few colours, and a palette takes a third of the bytes.
    picture.quantize(128).save(PICTURE, optimize=True)
    size = PICTURE.stat().st_size
    sys.stdout.write(f"{PICTURE.name}: {size / 1000:.0f} kB\n")
    if size > LARGEST:
        sys.exit(f"{PICTURE.name} is larger than {LARGEST / 1000:.0f} kB")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo/report.html"))
