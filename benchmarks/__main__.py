"""All benchmarks: `python -m benchmarks [--quick]`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from benchmarks import heads, loading, sampling, training, transfer
from benchmarks.functional import suite
from benchmarks.medimeta import __main__ as medimeta
from benchmarks.pipeline import __main__ as pipeline
from benchmarks.scale import __main__ as scale


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="less of everything: seconds instead of minutes"
    )
    options = parser.parse_args(arguments)
    for benchmark in (
        sampling,
        loading,
        heads,
        transfer,
        suite,
        medimeta,
        training,
        pipeline,
        scale,
    ):
        benchmark.main(["--quick"] if options.quick else [])


if __name__ == "__main__":
    main()
