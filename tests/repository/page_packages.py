"""The optional packages that blocks of pages are run with, by the environment that has them."""

from __future__ import annotations

from pathlib import Path

from tests.repository.markdown import fences

ROOT = Path(__file__).parents[2]

PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted(ROOT.glob("docs/**/*.md")),
    ROOT / "benchmarks/README.md",
]

PACKAGES = ("mlflow", "open_clip", "tensorboard", "timm", "torchvision", "transformers", "wandb")
"""`make packages` has them."""
ENGINES = ("lightning",)
"""`make engines` has them."""


def pages_with(packages: tuple[str, ...]) -> list[Path]:
    """Return the pages with a block that needs any of these packages."""
    return [path for path in PAGES if count_of_blocks(path, packages)]


def count_of_blocks(path: Path, packages: tuple[str, ...]) -> int:
    """Return how many blocks of a page need some of these packages, and no others."""
    blocks = fences(path.read_text(encoding="utf-8"))
    return sum(bool(block.packages) and set(block.packages) <= set(packages) for block in blocks)
