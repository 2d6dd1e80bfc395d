"""How fast episodes are planned: `python -m benchmarks.sampling [--quick] [--json FILE]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from benchmarks.measure import Rate, interleave, number, save, table
from benchmarks.peers import Worker, call, ensure, run
from benchmarks.peers.environment import ROOT

CONTESTANTS = Path(__file__).with_name("contestants")
OURS, PUBLISHED = CONTESTANTS / "ours.py", CONTESTANTS / "published_torchcross.py"
LEARN2LEARN, EASYFSL = CONTESTANTS / "learn2learn_taskset.py", CONTESTANTS / "easyfsl_sampler.py"

SHOTS, QUERIES = 5, 10
BARE = "indices only"


@dataclass(frozen=True)
class Effort:
    rounds: int
    seconds: float
    sizes: Sequence[int]
    setup: int
    stream: int
    supports: int
    clock: Literal["seconds", "cpu"] = "seconds"


FULL = Effort(
    rounds=15,
    seconds=0.25,
    sizes=[10**n for n in range(3, 8)],
    setup=10**7,
    stream=10**6,
    supports=1000,
)
QUICK = Effort(rounds=3, seconds=0.1, sizes=[10**3, 10**5], setup=10**6, stream=10**5, supports=200)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.sampling", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="less of everything: seconds instead of minutes"
    )
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    parser.add_argument(
        "--cpu",
        action="store_true",
        help="per second of the process's own time: for a busy machine",
    )
    options = parser.parse_args(arguments)
    effort = replace(QUICK if options.quick else FULL, clock="cpu" if options.cpu else "seconds")
    parts: dict[str, Callable[[Effort], Any]] = {
        "multiclass 5-way": lambda e: multiclass(e, ways=5),
        "multiclass 10-way": lambda e: multiclass(e, ways=10),
        "multilabel": multilabel,
        "multilabel support size": support_sizes,
        "plans by size": by_size,
        "setup": setup,
        "stream": stream,
    }
    results = {name: part(effort) for name, part in parts.items()}
    if options.json:
        save(options.json, results)


def multiclass(effort: Effort, ways: int) -> list[dict[str, Any]]:
    labels = np.random.default_rng(0).integers(0, 10, 100_000)
    args = ("multiclass", ways, SHOTS, QUERIES)
    with processes([PUBLISHED, LEARN2LEARN, EASYFSL], [OURS], args, labels) as workers:
        for worker in workers:
            for name in worker.names:
                check_multiclass(name, worker.measure(name, 1).last, labels, ways)
        rates = interleave(
            workers, rounds=effort.rounds, seconds=effort.seconds, clock=effort.clock
        )
    return show_rates(
        f"multi-class plans: {len(labels):,} samples, 10 classes, {ways}-way {SHOTS}-shot"
        f" {QUERIES}-query",
        rates,
    )


def multilabel(effort: Effort) -> list[dict[str, Any]]:
    labels = independent_labels(75_000, prevalences=np.geomspace(0.002, 0.17, 14))
    args = ("multilabel", labels.shape[1], SHOTS, QUERIES)
    with processes([PUBLISHED], [OURS], args, labels) as workers:
        for worker in workers:
            for name in worker.names:
                check_multilabel(name, worker.measure(name, 1).last, labels)
        rates = interleave(
            workers, rounds=effort.rounds, seconds=effort.seconds, clock=effort.clock
        )
    return show_rates(
        f"multi-label plans: {labels.shape[0]:,} x {labels.shape[1]}, prevalence 0.2 % to 17 %, all"
        f" labels, {SHOTS}-shot {QUERIES}-query",
        rates,
    )


def support_sizes(effort: Effort) -> list[dict[str, Any]]:
    """Smaller is better: it is what the minimal support costs the user in labelled samples."""
    recipes = {
        "75,000 x 14, prevalence 0.2-17 %": independent_labels(
            75_000, np.geomspace(0.002, 0.17, 14)
        ),
        "10,000 x 14, prevalence 10 %": independent_labels(10_000, np.full(14, 0.1)),
        "10,000 x 45, prevalence 3 %": independent_labels(10_000, np.full(45, 0.03)),
    }
    rows, results = [], []
    for name, labels in recipes.items():
        theirs = run(PUBLISHED, SHOTS, effort.supports, labels=labels)["sizes"]
        ours = call(
            sys.executable,
            OURS,
            "supports",
            SHOTS,
            effort.supports,
            path=ROOT,
            arrays={"labels": labels},
        )["sizes"]
        ratio = ours.mean() / theirs.mean()
        results.append(
            {"labels": name, "published": sizes(theirs), "ours": sizes(ours), "ratio": ratio}
        )
        rows.append([name, spread(theirs), spread(ours), f"{ratio:.3f}"])
    header = ["mean support size ± standard error", "torchcross 0.0.6", "ours", "ours / theirs"]
    table(f"multi-label supports, {SHOTS}-shot, {effort.supports} each", header, rows)
    return results


def by_size(effort: Effort) -> list[dict[str, Any]]:
    with Worker(sys.executable, OURS, "sizes", *effort.sizes, path=ROOT) as worker:
        rates = interleave(
            [worker], rounds=effort.rounds, seconds=effort.seconds, clock=effort.clock
        )
    rows = [[rate.name, number(1e6 / rate.median)] for rate in rates]
    table("ours, cost of a 5-way plan by number of samples", ["samples", "microseconds"], rows)
    return [{"name": rate.name, "median": rate.median, "rounds": rate.rounds} for rate in rates]


def setup(effort: Effort) -> dict[str, Any]:
    found = call(sys.executable, OURS, "setup", effort.setup, path=ROOT)
    result = {name: float(value) for name, value in found.items()}
    labels = result["labels"]
    rows = [
        ["seconds to the first plan", number(result["seconds"])],
        ["labels, MB", number(labels / 1e6)],
        [
            "peak memory above them, MB (times the labels)",
            f"{number(result['peak'] / 1e6)} ({result['peak'] / labels:.2f})",
        ],
        [
            "kept, MB (times the labels)",
            f"{number(result['kept'] / 1e6)} ({result['kept'] / labels:.2f})",
        ],
    ]
    table(f"ours, set-up over {effort.setup:,} int64 labels", ["", ""], rows)
    return result


def stream(effort: Effort) -> dict[str, Any]:
    labels = np.random.default_rng(0).integers(0, 10, 100_000)
    found = call(
        sys.executable, OURS, "stream", effort.stream, path=ROOT, arrays={"labels": labels}
    )
    memory = [int(value) for value in found["memory"]]
    rows = [
        [when, f"{value / 1e6:.1f}"]
        for when, value in zip(("start", "middle", "end"), memory, strict=True)
    ]
    rows.append(["plans per second", number(effort.stream / float(found["seconds"]))])
    table(f"ours, {effort.stream:,} plans streamed", ["", "resident MB"], rows)
    return {"memory": memory, "seconds": float(found["seconds"])}


# -- what the measurements share -------------------------------------------------------------------


def independent_labels(samples: int, prevalences: np.ndarray) -> np.ndarray:
    """Independent yes/no labels, one column per prevalence."""
    return (np.random.default_rng(0).random((samples, len(prevalences))) < prevalences).astype(
        np.int64
    )


@contextmanager
def processes(
    theirs: Sequence[Path], ours: Sequence[Path], args: Sequence[object], labels: np.ndarray
) -> Iterator[list[Worker]]:
    """One process per library, so that no one's garbage is collected on another's time."""
    with ExitStack() as stack:
        workers = [
            stack.enter_context(Worker(ensure(), script, *args, arrays={"labels": labels}))
            for script in theirs
        ]
        workers += [
            stack.enter_context(
                Worker(sys.executable, script, *args, path=ROOT, arrays={"labels": labels})
            )
            for script in ours
        ]
        yield workers


def check_multiclass(
    name: str, plan: Sequence[Sequence[Any]], labels: np.ndarray, ways: int
) -> None:
    """The contestant did the work: distinct samples, k and q of every class, one label for every
    class.
    """
    support, support_labels, query, query_labels = map(np.array, plan)
    chosen, mapped = (
        np.concatenate([support, query]),
        np.concatenate([support_labels, query_labels]),
    )
    pairs = set(zip(labels[chosen].tolist(), mapped.tolist(), strict=True))
    counts = np.bincount(support_labels, minlength=ways), np.bincount(query_labels, minlength=ways)
    if not (
        len(set(chosen.tolist())) == len(chosen)
        and [set(c.tolist()) for c in counts] == [{SHOTS}, {QUERIES}]
        and len(pairs) == ways == len({y for _, y in pairs}) == len({c for c, _ in pairs})
    ):
        raise AssertionError(
            f"{name} did not return a {ways}-way {SHOTS}-shot {QUERIES}-query plan: {plan}"
        )


def check_multilabel(name: str, plan: Sequence[Sequence[Any]], labels: np.ndarray) -> None:
    support, support_labels, query, query_labels = map(np.array, plan)
    for chosen, mapped, least in ((support, support_labels, SHOTS), (query, query_labels, QUERIES)):
        positives = labels[chosen].sum(axis=0)
        enough = positives.min() >= least and (len(chosen) - positives).min() >= least
        if not enough or not np.array_equal(mapped, labels[chosen]):
            raise AssertionError(
                f"{name} did not return {least} of each answer for every label: {chosen}"
            )
    if set(support.tolist()) & set(query.tolist()):
        raise AssertionError(f"{name} put a sample into both support and query")


def show_rates(title: str, rates: Sequence[Rate]) -> list[dict[str, Any]]:
    """Every contestant's rate, and its ratio to the published torchcross and to the fastest peers.

    Two of them where some contestants hand out bare indices: whole plans are what is compared, and
    what bare indices cost says how much of a plan is the labels.
    """
    peers = [rate for rate in rates if not rate.name.startswith("ours")]
    bare = [rate for rate in peers if rate.name.endswith(BARE)]
    whole = [rate for rate in peers if rate not in bare]
    bases = {
        "x torchcross 0.0.6": peers[0],
        "x best peer": max(whole, key=lambda rate: rate.median),
    }
    if bare:
        bases["x best bare indices"] = max(bare, key=lambda rate: rate.median)
    rows, results = [], []
    for rate in rates:
        ratios = {name: rate.over(base) for name, base in bases.items()}
        rows.append(
            [rate.name, *map(number, (rate.median, rate.slowest, rate.fastest, *ratios.values()))]
        )
        results.append({"name": rate.name, "median": rate.median, "rounds": rate.rounds} | ratios)
    table(title, ["contestant", "plans/s", "slowest", "fastest", *bases], rows)
    return results


def sizes(found: np.ndarray) -> dict[str, float]:
    return {"mean": float(found.mean()), "error": float(found.std(ddof=1) / len(found) ** 0.5)}


def spread(found: np.ndarray) -> str:
    return "{mean:.2f} ± {error:.2f}".format(**sizes(found))


if __name__ == "__main__":
    main()
