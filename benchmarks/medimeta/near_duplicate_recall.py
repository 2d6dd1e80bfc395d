"""How many changed copies the search for near duplicates finds:
`python -m benchmarks.medimeta.near_duplicate_recall [FOLDER ...] [--images N] [--json FILE]`.

Each change is made to the same images of every dataset below the folders; without a folder, of the
synthetic collection, which is written first. A copy is found if the search puts it into one group
with its original. Images that are near duplicates of each other already are left out.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from benchmarks.measure import save, table
from medimeta_adapter.audit.near_duplicates import near_duplicate_groups
from medimeta_adapter.audit.perceptual_hash import Fingerprints, fingerprints_of
from medimeta_adapter.synthetic import generate

Pixels = NDArray[np.uint8]


def brighten(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Brightness(image).enhance(factor)


def add_light(image: Image.Image, amount: int) -> Image.Image:
    return image.point(lambda value: value + amount)


def contrast(image: Image.Image, factor: float) -> Image.Image:
    return ImageEnhance.Contrast(image).enhance(factor)


def compress(image: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(io.BytesIO(file.getvalue()))


def resize(image: Image.Image, factor: float) -> Image.Image:
    side = [max(8, round(length * factor)) for length in image.size]
    return image.resize((side[0], side[1]), Image.Resampling.BICUBIC)


def crop(image: Image.Image, share: float) -> Image.Image:
    """Without this share of the width and the height, half of it on each side."""
    cut = [max(1, round(length * share / 2)) for length in image.size]
    return image.crop((cut[0], cut[1], image.width - cut[0], image.height - cut[1]))


def make_noise(image: Image.Image, deviation: float) -> Image.Image:
    values = np.asarray(image)
    noise = np.random.default_rng(0).normal(0, deviation, values.shape)
    return Image.fromarray(np.clip(values + noise, 0, 255).round().astype(np.uint8))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "brightness x 1.1": lambda image: brighten(image, 1.1),
    "brightness x 1.3": lambda image: brighten(image, 1.3),
    "brightness + 30": lambda image: add_light(image, 30),
    "brightness x 0.7": lambda image: brighten(image, 0.7),
    "contrast x 1.2": lambda image: contrast(image, 1.2),
    "contrast x 1.5": lambda image: contrast(image, 1.5),
    "contrast x 0.7": lambda image: contrast(image, 0.7),
    "JPEG, quality 90": lambda image: compress(image, 90),
    "JPEG, quality 50": lambda image: compress(image, 50),
    "noise, deviation 5": lambda image: make_noise(image, 5),
    "grey": lambda image: image.convert("L"),
    "resized to half": lambda image: resize(image, 0.5),
    "resized to 1.5 times": lambda image: resize(image, 1.5),
    "cropped by 2 %": lambda image: crop(image, 0.02),
    "cropped by 5 %": lambda image: crop(image, 0.05),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "upside down": lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.medimeta.near_duplicate_recall", description=__doc__
    )
    parser.add_argument("folders", nargs="*", type=Path, help="of datasets in MedIMeta's format")
    parser.add_argument("--images", type=int, default=60, help="of each dataset (default: 60)")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    if options.folders:
        results = measure_folders(options.folders, options.images)
    else:
        results = measure(options.images)
    if options.json:
        save(options.json, results)


def measure(images: int) -> list[dict[str, Any]]:
    """Measure on the synthetic collection."""
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder) / "synthetic", scale="tiny", size=64)
        return measure_folders([Path(folder) / "synthetic"], images)


def measure_folders(folders: Sequence[Path], images: int) -> list[dict[str, Any]]:
    """Print the recall of every change, over all datasets and in the worst of them."""
    originals = {}
    for folder in folders:
        for file in sorted(folder.glob("**/images.hdf5")):
            originals[file.parent.name] = distinct_images(file, images)
    results = []
    for name, change in CHANGES.items():
        counts = {key: copies_found(values, change) for key, values in originals.items()}
        total = sum(len(values) for values in originals.values())
        found = sum(counts.values())
        shares = {key: counts[key] / len(values) for key, values in originals.items()}
        worst = min(shares, key=lambda key: shares[key])
        results.append(
            {
                "change": name,
                "images": total,
                "found": found,
                "worst": worst,
                "worst_share": shares[worst],
            }
        )
    rows = [
        [
            row["change"],
            f"{row['found']:,} of {row['images']:,}",
            f"{100 * row['found'] / row['images']:.1f} %",
            f"{100 * row['worst_share']:.0f} % ({row['worst']})",
        ]
        for row in results
    ]
    title = f"copies that the search for near duplicates finds; {len(originals)} datasets"
    table(title, ["change", "found", "recall", "worst dataset"], rows)
    return results


def distinct_images(file: Path, count: int) -> Pixels:
    """Images at even distances, of which none is a near duplicate of another."""
    with h5py.File(file) as opened:
        stored = opened["images"]
        places = np.unique(np.linspace(0, len(stored) - 1, 2 * count).astype(int))
        images = stored[places]
    images = images[images.reshape(len(images), -1).std(axis=1) > 0]
    keep = np.ones(len(images), dtype=bool)
    for group in near_duplicate_groups(fingerprints_of(images)):
        keep[group[1:]] = False
    return images[keep][:count]


def copies_found(images: Pixels, change: Callable[[Image.Image], Image.Image]) -> int:
    """How many changed copies stand in a group with their original."""
    changed = [
        np.asarray(change(Image.fromarray(image.squeeze()))).astype(np.uint8) for image in images
    ]
    parts = [fingerprints_of(images), *(fingerprints_of(image[None]) for image in changed)]
    label = np.full(2 * len(images), -1)
    for number, group in enumerate(near_duplicate_groups(Fingerprints.concatenate(parts))):
        label[group] = number
    first, second = label[: len(images)], label[len(images) :]
    return int(((first == second) & (first >= 0)).sum())


if __name__ == "__main__":
    main()
