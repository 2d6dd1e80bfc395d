"""Episodes of all four target types from small made-up images, scored by the plainest method there
is.

The score is that of nearest class means over pixels: no training, no network. Each number is the
mean over episodes with 1.96 standard errors; the same episodes serve every number of shots, and
fewer shots are part of more.

    python docs/examples/four_targets.py [--episodes 50] [--out runs/four_targets.png]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch.nn import functional as F

import torchcross as tx
from torchcross.data import toys

SHOTS = (1, 5, 10)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path("runs/four_targets.png"))
    arguments = parser.parse_args()

    sources = [toys.multiclass(), toys.binary(), toys.multilabel(), toys.ordinal()]
    print("Made-up images, nearest class means over pixels, ", end="")
    print(f"mean over {arguments.episodes} episodes ± 1.96 standard errors.\n")
    print(
        f"{'task':<12}{'target':<12}{'classes':>8}  {'metric':<8}"
        + "".join(f"{f'{k}-shot':>16}" for k in SHOTS)
    )
    for source in sources:
        report(source, arguments.episodes)
    contact_sheet(sources, arguments.out)
    print(f"\nOne episode of each, support left and query right: {arguments.out.resolve()}")


def report(source: tx.TaskSource, count: int) -> None:
    """One line per metric."""
    curve = tx.EpisodeSampler(source, queries=10, seed=0).curve(SHOTS)
    episodes = tx.Episodes(curve.at(max(SHOTS)))
    target = source.task.target
    metrics = ("auroc", "qwk") if "qwk" in target.metrics else ("auroc", "balanced_accuracy")
    rows = {(metric, k): [] for metric in metrics for k in SHOTS}
    for plans in curve.stream(0, count):
        for k, plan in plans.items():
            episode = episodes.read(plan)
            scores = target.evaluate(nearest_means(episode), episode.query.y, metrics)
            for metric in metrics:
                rows[metric, k].append(float(scores[metric]))
    for place, metric in enumerate(metrics):
        name = (
            f"{source.task.name:<12}{target.kind:<12}{target.num_classes:>8}"
            if place == 0
            else " " * 32
        )
        cells = "".join(f"{interval(rows[metric, k]):>16}" for k in SHOTS)
        print(f"{name}  {metric.replace('balanced_accuracy', 'bal.acc'):<8}{cells}")


def nearest_means(episode: tx.Episode):
    """The mean image of every prototype stratum; a query's score is minus its squared distance to
    each.
    """
    target = episode.task.target
    support, query = features(episode.support.x), features(episode.query.x)
    strata = target.prototype_strata(episode.support.y)
    means = strata.mT @ support / strata.sum(dim=0)[:, None]
    return target.predict(target.prototype_logits(-torch.cdist(query, means).square()))


def features(images: torch.Tensor) -> torch.Tensor:
    """Blurred pixels, each image centred and scaled."""
    blurred = F.avg_pool2d(images.float(), 4, stride=2).flatten(1)
    centred = blurred - blurred.mean(dim=1, keepdim=True)
    return centred / centred.norm(dim=1, keepdim=True)


def interval(values: list[float]) -> str:
    """Mean and half width of the normal 95 % interval."""
    half = 1.96 * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{np.mean(values):.3f} ± {half:.3f}"


def contact_sheet(sources: list[tx.TaskSource], path: Path) -> None:
    """A PNG with one 5-shot episode per source."""
    scale, gap, label = 2, 4, 26
    strips = [
        strip(tx.Episodes(tx.EpisodeSampler(source, shots=3, queries=5, seed=0))[0], scale, gap)
        for source in sources
    ]
    sheet = Image.new(
        "L",
        (max(s.width for s in strips) + 2 * gap, sum(s.height + label for s in strips) + gap),
        255,
    )
    top = 0
    for source, drawn in zip(sources, strips, strict=True):
        text = f"{source.task.name} ({source.task.target.kind}): {', '.join(source.task.classes)}"
        ImageDraw.Draw(sheet).text((gap, top + 8), text, fill=0)
        sheet.paste(drawn, (gap, top + label))
        top += label + drawn.height
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def strip(episode: tx.Episode, scale: int, gap: int) -> Image.Image:
    """Support images in rows on the left, query images on the right."""
    blocks = [grid(batch.x, scale, columns=9) for batch in (episode.support, episode.query)]
    drawn = Image.new(
        "L", (sum(b.width for b in blocks) + 6 * gap, max(b.height for b in blocks)), 255
    )
    drawn.paste(blocks[0], (0, 0))
    drawn.paste(blocks[1], (blocks[0].width + 6 * gap, 0))
    return drawn


def grid(images: torch.Tensor, scale: int, columns: int) -> Image.Image:
    side = images.shape[-1] * scale + 2
    rows = -(-len(images) // columns)
    block = Image.new("L", (columns * side, rows * side), 255)
    for place, image in enumerate(images):
        tile = Image.fromarray(image[0].numpy()).resize(
            (side - 2, side - 2), Image.Resampling.NEAREST
        )
        block.paste(tile, (place % columns * side, place // columns * side))
    return block


if __name__ == "__main__":
    main()
