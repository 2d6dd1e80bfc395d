"""The optional packages that blocks of pages are run with, by the environment that has them."""

from __future__ import annotations

from pathlib import Path

from tests.repository.markdown import fences

ROOT = Path(__file__).parents[2]

PACKAGES = ("mlflow", "open_clip", "tensorboard", "timm", "torchvision", "transformers", "wandb")
"""`make packages` has them."""
ENGINES = ("lightning",)
"""`make engines` has them."""


def pages_with(packages: tuple[str, ...]) -> list[Path]:
    """Return the pages with a block that needs any of these packages."""
    return [
        path
        for path in sorted(ROOT.glob("docs/**/*.md"))
        if any(
            set(fence.packages) & set(packages)
            for fence in fences(path.read_text(encoding="utf-8"))
        )
    ]
