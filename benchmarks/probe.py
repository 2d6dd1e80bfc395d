"""Heads on stored features against the published way: `python -m benchmarks.probe [--episodes 4]`.

The published study fits a linear probe to each episode by a Lightning trainer: Adam at 1e-4, 150
steps, a head of zeros, the whole support as one batch, on features that are computed once. Here it
has the same made-up episodes as `benchmarks.heads` (5 ways, 5 shots, 10 queries a class, 1,280
features), in the peers' environment. Ratios are of the processes' own time, one thread each.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.contestants.heads import FEW, MANY, TARGETS, made_up_episode
from benchmarks.measure import number, save, table
from benchmarks.peers import Worker, ensure
from benchmarks.peers.environment import ROOT

FOLDER = Path(__file__).with_name("contestants")
STEPS = 150
OURS = {
    "logistic, multi-class, batch": MANY,
    "mean over three C, multi-class, batch": MANY,
    "SimpleShot, multi-class, batch": MANY,
    "LinearProbe, multi-class": FEW,
}
PUBLISHED = "published probe, multi-class"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.probe",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--episodes", type=int, default=4, help="of the published way, a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    arrays = _episodes(options.episodes)
    with ExitStack() as stack:
        published = stack.enter_context(
            Worker(ensure(), FOLDER / "probe_published.py", STEPS, arrays=arrays)
        )
        ours = stack.enter_context(Worker(sys.executable, FOLDER / "heads.py", path=ROOT))
        _check_logits(published.measure(PUBLISHED, 1).last, arrays)
        for name in OURS:
            ours.measure(name, 1)
        rates: dict[str, list[float]] = {name: [] for name in (PUBLISHED, *OURS)}
        for _ in range(options.rounds):
            rates[PUBLISHED].append(
                options.episodes / published.measure(PUBLISHED, options.episodes).cpu
            )
            for name, size in OURS.items():
                rates[name].append(size / ours.measure(name, 1).cpu)
    _show(rates, options.json)


def _episodes(count: int) -> dict[str, Any]:
    episodes = [made_up_episode(TARGETS["multi-class"], seed) for seed in range(count)]
    return {
        "supports": np.stack([each.support.x.numpy() for each in episodes]),
        "labels": np.stack([each.support.y.numpy() for each in episodes]),
        "queries": np.stack([each.query.x.numpy() for each in episodes]),
    }


def _check_logits(logits: list[Any], arrays: dict[str, Any]) -> None:
    """The published probe has learned: a head of zeros has logits of zeros."""
    if len(logits) != arrays["queries"].shape[1] * len(TARGETS["multi-class"].classes):
        raise AssertionError(f"{PUBLISHED} gave {len(logits)} logits")
    if not np.abs(np.array(logits)).max() > 0:
        raise AssertionError(f"{PUBLISHED} has learned nothing")


def _show(rates: dict[str, list[float]], out: Path | None) -> None:
    medians = {name: float(np.median(several)) for name, several in rates.items()}
    ratios = {
        name: float(np.median(np.array(several) / np.array(rates[PUBLISHED])))
        for name, several in rates.items()
    }
    rows = [[name, number(medians[name]), number(ratios[name])] for name in rates]
    table("episodes/s of one core", ["head", "episodes/s", "x the published way"], rows)
    if out:
        save(out, {"episodes/s": medians, "ratios": ratios})


if __name__ == "__main__":
    main()
