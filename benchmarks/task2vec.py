"""Task2Vec beside the published code:
`python -m benchmarks.task2vec --published FOLDER [--weights FILE] [--quick] [--json FILE]`.

Seconds of one core for an embedding of 300 images of 64 pixels by MobileNetV2: the exact
information of here, and the published estimate from labels that are drawn. FOLDER is a checkout of
github.com/awslabs/aws-cv-task2vec, which no package registry has. Both have the head that the
published code fits. The error of a filter is the root mean square of estimate / exact - 1, over
estimates; printed are the median filter and the one that is worse than nine in ten.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.contestants.task2vec_published import BATCH
from benchmarks.measure import number, save, table
from benchmarks.peers.environment import ROOT
from benchmarks.peers.processes import call
from torchcross import backbones, transfer
from torchcross.data import TaskSource, toys
from torchcross.targets import MultiClass
from torchcross.transfer.similarity.fisher import fisher_information

IMAGES, SIDE = 300, 64
PUBLISHED_DRAWS: Final = 10_000
"""Images that the published code draws for one estimate, with replacement, of equal classes."""

_SCRIPT = Path(__file__).with_name("contestants") / "task2vec_published.py"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.task2vec",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--published", type=Path, required=True, help="a checkout of its code")
    parser.add_argument("--weights", type=Path, help="of torchvision's mobilenet_v2; else random")
    parser.add_argument(
        "--draws", type=int, default=PUBLISHED_DRAWS, help="of one published estimate"
    )
    parser.add_argument("--repeats", type=int, default=3, help="published estimates")
    parser.add_argument("--quick", action="store_true", help="fewer images, draws and repeats")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    if not (options.published / "task2vec.py").is_file():
        parser.error(f"{options.published} has no task2vec.py; give a checkout of aws-cv-task2vec")
    count, draws, repeats = IMAGES, options.draws, options.repeats
    if options.quick:
        count, draws, repeats = 60, 2 * BATCH, 2
    torch.set_num_threads(1)
    source = toys.multiclass(count, size=SIDE)
    probe = backbones.mobilenet_v2(grey="expand")
    if options.weights:
        backbones.load_weights(probe, options.weights)
    images, labels = images_and_labels(source)
    theirs = call(
        sys.executable,
        _SCRIPT,
        options.published.resolve(),
        options.weights.resolve() if options.weights else "",
        draws,
        repeats,
        path=ROOT,
        arrays={"images": images.numpy(), "labels": labels},
    )
    begin = time.process_time()
    transfer.task2vec(source, probe, images=count)
    embedding = time.process_time() - begin
    begin = time.process_time()
    exact = exact_information(probe, images, labels, theirs)
    information = time.process_time() - begin
    results = compare(theirs, exact, draws) | {"embedding": embedding, "information": information}
    _show(results)
    if options.json:
        save(options.json, results)


def images_and_labels(source: TaskSource) -> tuple[Tensor, NDArray[np.int64]]:
    """All images of the source as floats, and the classes of each."""
    images = source.read(np.arange(len(source)))
    return images.float() / 255, np.asarray(source.labels, dtype=np.int64)


def exact_information(
    probe: nn.Module,
    images: Tensor,
    labels: NDArray[np.int64],
    head: Mapping[str, NDArray[Any]],
) -> NDArray[np.float64]:
    """Of images that count as the published code draws them: each class as often as any other."""
    weight, bias = torch.from_numpy(head["weight"]), torch.from_numpy(head["bias"])
    target = MultiClass([str(number) for number in range(len(bias))])
    total = 0.0
    classes = np.unique(labels)
    for code in classes:
        own = images[torch.from_numpy(labels == code)]
        layers = fisher_information(probe, own, target, lambda x: x @ weight.T + bias)
        total = total + torch.cat(list(layers.values())).double().numpy() / len(classes)
    return np.asarray(total)


def compare(
    theirs: Mapping[str, NDArray[Any]], exact: NDArray[np.float64], draws: int
) -> dict[str, Any]:
    """Seconds of the published way, and how far its estimates are from the exact values."""
    seen = exact > 0
    ratios = theirs["estimates"][:, seen] / exact[seen]
    errors = np.sqrt(np.square(ratios - 1).mean(axis=0))
    return {
        "draws": draws,
        "fitting": float(theirs["fitting"]),
        "published": float(np.median(theirs["seconds"])),
        "ratio": float(np.median(ratios.mean(axis=0))),
        "error": [float(np.quantile(errors, share)) for share in (0.5, 0.9)],
    }


def _show(results: Mapping[str, Any]) -> None:
    exact, drawn = results["information"], results["published"]
    errors = [f"{100 * error:.0f} %" for error in results["error"]]
    table(
        "the information of the filters: seconds of one core, and the error of a filter",
        ["", "seconds", "x exact", "median filter", "nine in ten below"],
        [
            ["exact, of here", number(exact), "1", "0", "0"],
            [
                f"published, {results['draws']:,} draws",
                number(drawn),
                number(drawn / exact),
                *errors,
            ],
        ],
    )
    whole = results["fitting"] + drawn
    print(
        f"whole embeddings, with their heads: {number(results['embedding'])} s here,"
        f" {number(whole)} s published; estimate over exact information, median filter:"
        f" {results['ratio']:.2f}"
    )


if __name__ == "__main__":
    main()
