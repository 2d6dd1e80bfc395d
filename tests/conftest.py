"""What all tests share: Hypothesis profiles and one thread, so little depends on the host."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Generator

# One thread: tensors are tiny here, threads would wait for each other, and the bits of a sum
# depend on their number. Subprocesses inherit it, and torch reads it when it is imported.
os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

from tests.examples import FUZZ, USUAL

torch.set_num_threads(1)

# `make test` draws the same examples on every machine and in every run. All settings stand here,
# because Hypothesis's own default differs where the variable CI is set.
settings.register_profile(
    "fixed",
    settings.get_profile("default"),
    derandomize=True,
    database=None,
    max_examples=USUAL,
    print_blob=True,
    # A busy machine is no reason to fail: no deadlines, and slow generation is not an error.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
# `make fuzz` draws others. Without a database of failed examples, the seed alone decides which.
settings.register_profile(
    "fuzz", settings.get_profile("fixed"), derandomize=False, max_examples=FUZZ
)
settings.load_profile("fixed")
# Hypothesis also draws constants that it reads in the modules imported so far. The examples of a
# test would then depend on the tests that ran before it.
providers._get_local_constants = providers.Constants


# A run that was started in the background ignores Ctrl-C, one under `nohup` ignores SIGHUP, and
# subprocesses would do the same.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

# The modules and parameters of all tests live to the end. To look through them for garbage again
# and again took an eighth of the time, so they are never looked at, and the rest less often.
NEW_OBJECTS_BEFORE_A_LOOK = 20_000


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(NEW_OBJECTS_BEFORE_A_LOOK, 10, 10)
        gc.enable()


# How many cases of one test function `make quick` runs.
QUICK_CASES = 2


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of `make quick`: a few cases of every function that is not slow."""
    functions: dict[str, list[pytest.Item]] = {}
    for item in items:
        functions.setdefault(item.nodeid.partition("[")[0], []).append(item)
    for cases in functions.values():
        count = min(QUICK_CASES, len(cases))
        for number in range(count):
            case = cases[number * len(cases) // count]
            if not (case.get_closest_marker("slow") or case.get_closest_marker("long")):
                case.add_marker("quick")


def pytest_report_header(config: pytest.Config) -> str | None:
    seed = config.getoption("--hypothesis-seed")
    return seed and f"fuzzing; to repeat this run: make fuzz SEED={seed}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One command for each failed test of `make fuzz` that repeats its failure."""
    seed = terminalreporter.config.getoption("--hypothesis-seed")
    failed = terminalreporter.stats.get("failed", [])
    if seed and failed:
        terminalreporter.section("to repeat the failures")
        for test in sorted({report.nodeid.partition("[")[0] for report in failed}):
            terminalreporter.write_line(f"make fuzz SEED={seed} ARGS={test}")
