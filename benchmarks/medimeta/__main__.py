"""`python -m benchmarks.medimeta [--quick] [--only NAME ...] [--json FILE]`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import save
from benchmarks.medimeta import appearance, checking, converting, opening, reading, writing

# One row for each benchmark: a function of (quick, threads) that prints its tables and returns its
# numbers.
BENCHMARKS: dict[str, Callable[[bool, int], Any]] = {
    "reading": reading.measure,
    "opening": opening.measure,
    "writing": writing.measure,
    "converting": converting.measure,
    "checking": checking.measure,
    "appearance": appearance.measure,
}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.medimeta", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="less of everything: seconds instead of minutes"
    )
    parser.add_argument("--only", nargs="+", choices=list(BENCHMARKS), default=list(BENCHMARKS))
    parser.add_argument(
        "--threads", type=int, default=1, help="torch's threads, the same for everybody"
    )
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    results = {name: BENCHMARKS[name](options.quick, options.threads) for name in options.only}
    if options.json:
        save(options.json, results)


if __name__ == "__main__":
    main()
