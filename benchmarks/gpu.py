"""What a GPU makes of the library: `python -m benchmarks.gpu [--tiny] [--out FOLDER]`.

Meta-batches of W1 and W2 (see `benchmarks.functional`) against a plain loop and learn2learn, in
lanes and in bf16; features per second of frozen backbones; two units that share the device. It
prints tables, and writes `gpu.json` and `gpu.md`. It ends within `--minutes`: what is then left is
named. `--tiny` runs all of it to the end on a CPU, with sizes that say nothing about speed.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import wait
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from benchmarks.contestants import inner_loops_peers
from benchmarks.functional.workloads import Workload
from benchmarks.gpu_study import mean_auroc
from benchmarks.measure import number, save, table
from torchcross import backbones
from torchcross.functional import meta_loss
from torchcross.jobs import LocalEngine, Resources

MB = 1e6
Run = Callable[[], float]
Make = Callable[[], Workload]
Lanes = Literal["loop"] | int


@dataclass(frozen=True)
class Sizes:
    """`steps` and `query` are the workload's own where they are None."""

    tasks: tuple[int, int]
    wide_tasks: tuple[int, int]
    lanes: tuple[int, ...]
    rounds: int
    images: int
    pixels: int
    shared_batches: int
    steps: int | None = None
    channels: int = 64
    support: int = 25
    query: int | None = None


FULL = Sizes((16, 4), (64, 16), (1, 16, 64), 5, 256, 224, 20)
TINY = Sizes((2, 1), (2, 2), (1, 2), 1, 2, 32, 1, steps=1, channels=8, support=5, query=5)


@dataclass(frozen=True)
class Row:
    """A contestant of a table. `error` says why it has no numbers."""

    name: str
    seconds: float = float("nan")
    loss: float = float("nan")
    memory: float = float("nan")
    error: str = ""


class Clock:
    """Seconds of work that a device has really done, and those that are left for all of it."""

    def __init__(self, device: str, minutes: float) -> None:
        self.device = device
        self._is_cuda = device.startswith("cuda")
        self._end = time.monotonic() + 60 * minutes

    def is_over(self) -> bool:
        return time.monotonic() >= self._end

    def row(self, name: str, make: Callable[[], Run], rounds: int) -> Row:
        """The median over rounds, after one that warms up. An error is the row's, not the run's."""
        if self.is_over():
            return Row(name, error="no time left")
        try:
            if self._is_cuda:
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            run = make()
            loss = run()
            seconds = [self._seconds(run) for _ in range(rounds) if not self.is_over()]
        except Exception as error:  # noqa: BLE001 - the other rows are measured all the same
            return Row(name, error=(str(error) or repr(error)).strip().splitlines()[0][:80])
        memory = torch.cuda.max_memory_allocated() if self._is_cuda else float("nan")
        if not seconds:
            return Row(name, error="no time left")
        return Row(name, statistics.median(seconds), loss, memory)

    def _seconds(self, run: Run) -> float:
        self._wait()
        began = time.perf_counter()
        run()
        self._wait()
        return time.perf_counter() - began

    def _wait(self) -> None:
        if self._is_cuda:
            torch.cuda.synchronize()


@dataclass
class Page:
    """Tables, printed as they come and kept for the file."""

    results: dict[str, Any]
    markdown: list[str]

    def add(self, title: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table(title, header, rows)
        lines = [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]
        self.markdown += [f"### {title}", "", *lines, ""]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.gpu", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="on the CPU, with tiny sizes")
    parser.add_argument("--out", type=Path, default=Path(), help="where gpu.json and gpu.md go")
    parser.add_argument("--minutes", type=float, default=7.5, help="the most it may take")
    options = parser.parse_args(arguments)
    if not options.tiny and not torch.cuda.is_available():
        sys.exit("benchmarks.gpu: torch sees no GPU here; --tiny runs on the CPU")
    device, sizes = ("cpu", TINY) if options.tiny else ("cuda", FULL)
    clock, page = Clock(device, options.minutes), Page(_machine(device), [])
    page.markdown += [f"{name}: {value}" + "  " for name, value in page.results.items()] + [""]
    print("\n".join(page.markdown))
    # What may fail or take long comes last.
    options.out.mkdir(parents=True, exist_ok=True)
    for part in (meta_batches, lanes, features, studies, sharing):
        page.results[part.__name__] = part(clock, sizes, page)
        save(options.out / "gpu.json", page.results)
        (options.out / "gpu.md").write_text("\n".join(page.markdown) + "\n")


def meta_batches(clock: Clock, sizes: Sizes, page: Page) -> list[dict[str, Any]]:
    """The meta-batches that the CPU was measured with, and every peer that can be imported."""
    found = []
    for name, tasks in zip(("W1", "W2"), sizes.tasks, strict=True):
        make = partial(_workload, clock.device, sizes, name, tasks, alike=False)
        contestants: dict[str, Callable[[], Run]] = {
            "plain loop": partial(_plain, make),
            **_learn2learn(make),
            "ours, one by one": partial(_ours, make, lanes="loop"),
            "ours, lanes 16": partial(_ours, make, lanes=16),
            "ours, lanes 16, bf16": partial(_ours, make, lanes=16, bf16=True),
            "ours, lanes 16, recompute": partial(_ours, make, lanes=16, engine="recompute"),
        }
        found += _contest(f"{name}, {tasks} tasks", contestants, clock, sizes, page)
        first: dict[str, Callable[[], Run]] = {
            "plain loop, first order": partial(_plain, make, order=1),
            "ours, lanes 16, first order": partial(_ours, make, lanes=16, engine="first_order"),
        }
        found += _contest(f"{name}, {tasks} tasks, first order", first, clock, sizes, page)
    return found


def lanes(clock: Clock, sizes: Sizes, page: Page) -> list[dict[str, Any]]:
    """Wide meta-batches of tasks that are alike, as many of them at once as there are lanes."""
    found = []
    for name, tasks in zip(("W1", "W2"), sizes.wide_tasks, strict=True):
        make = partial(_workload, clock.device, sizes, name, tasks, alike=True)
        contestants: dict[str, Callable[[], Run]] = {}
        for width in sizes.lanes:
            if width <= tasks:
                for bf16 in (False, True):
                    kind = ", bf16" if bf16 else ""
                    run = partial(_ours, make, lanes=width, bf16=bf16)
                    contestants[f"ours, lanes {width}{kind}"] = run
        found += _contest(f"{name}, {tasks} tasks alike", contestants, clock, sizes, page)
    return found


def features(clock: Clock, sizes: Sizes, page: Page) -> list[dict[str, Any]]:
    """Images per second through frozen backbones; they come as bytes from the host's memory."""
    found: list[dict[str, Any]] = []
    shape = (sizes.images, 3, sizes.pixels, sizes.pixels)
    images = torch.zeros(shape, dtype=torch.uint8)
    if clock.device == "cuda":
        images = images.pin_memory()
    for name in ("resnet18", "resnet50", "mobilenet_v2"):
        for bf16 in (False, True):
            row = clock.row(
                f"{name}, {'bf16' if bf16 else 'float32'}",
                partial(_embedding, name, images, clock.device, bf16=bf16),
                sizes.rounds,
            )
            rate = sizes.images / row.seconds
            found.append({"name": row.name, "images a second": rate, "error": row.error})
    rows = [[row["name"], number(row["images a second"]), row["error"]] for row in found]
    page.add(
        f"features, batches of {sizes.images} at {sizes.pixels} pixels",
        ["backbone", "images a second", ""],
        rows,
    )
    return found


def studies(clock: Clock, sizes: Sizes, page: Page) -> list[dict[str, Any]]:
    """A transfer study on the device and on the CPU."""
    size, epochs = (16, 1) if sizes is TINY else (32, 6)
    contestants: dict[str, Callable[[], Run]] = {
        name: partial(_study, device, size, epochs)
        for name, device in (("ours, on the CPU", "cpu"), ("ours, on the device", clock.device))
    }
    return _contest("a transfer study", contestants, clock, replace(sizes, rounds=1), page)


def _study(device: str, size: int, epochs: int) -> Run:
    return partial(mean_auroc, device, size=size, epochs=epochs)


def sharing(clock: Clock, sizes: Sizes, page: Page) -> dict[str, Any]:
    """Two units on one device at once, each with half of it, against one after the other."""
    if clock.is_over():
        page.add("two units on one device", ["", ""], [["not measured", "no time left"]])
        return {"error": "no time left"}
    half = Resources(gpus=0.5)
    engine = LocalEngine(jobs=2, cores=2, gpus=["0"])
    arguments = (clock.device, sizes)
    try:
        # Each process gets its device and warms up.
        wait([engine.submit(train, *arguments, resources=half) for _ in range(2)])
        alone = engine.submit(train, *arguments, resources=half).result()
        both = [engine.submit(train, *arguments, resources=half) for _ in range(2)]
        beside = max(future.result() for future in both)
    finally:
        engine.shutdown()
    gain = 2 * alone / beside
    rows = [
        ["one after the other", number(2 * alone), "1"],
        ["side by side, gpus = 0.5", number(beside), number(gain)],
    ]
    title = f"two units of {sizes.shared_batches} meta-batches of W1 on one device"
    page.add(title, ["", "s", "x throughput"], rows)
    return {"alone": alone, "beside": beside, "gain": gain}


def train(device: str, sizes: Sizes) -> float:
    """Seconds for some meta-batches in this process, which has made one before."""
    run, clock = _prepared(device, sizes), Clock(device, 60)
    return clock.row("a unit", lambda: _many(run, sizes.shared_batches), 1).seconds


@cache
def _prepared(device: str, sizes: Sizes) -> Run:
    make = partial(_workload, device, sizes, "W1", sizes.tasks[0], alike=True)
    return _ours(make, lanes=16)


def _many(run: Run, count: int) -> Run:
    return lambda: [run() for _ in range(count)][-1]


def _workload(device: str, sizes: Sizes, name: str, tasks: int, *, alike: bool) -> Workload:
    workload = Workload(
        name,
        tasks,
        support=sizes.support,
        query=sizes.query,
        channels=sizes.channels,
        alike=alike,
        device=device,
    )
    workload.steps = sizes.steps or workload.steps
    return workload


def _learn2learn(make: Make) -> dict[str, Callable[[], Run]]:
    if importlib.util.find_spec("learn2learn") is None:
        return {}
    return {"learn2learn": lambda: inner_loops_peers.of_learn2learn(make(), 2)}


def _plain(make: Make, order: int = 2) -> Run:
    workload = make()
    return lambda: workload.plain(order)


def _ours(make: Make, *, lanes: Lanes, engine: str = "reverse", bf16: bool = False) -> Run:
    workload = make()
    problems, meta = workload.problems()

    def run() -> float:
        for value in workload.params.values():
            value.grad = None
        with _precision(workload.device.type, bf16=bf16):
            result = meta_loss(problems, meta, engine=engine, lanes=lanes)
        result.loss.backward()  # type: ignore[no-untyped-call]
        return result.loss.item()

    return run


def _embedding(name: str, images: Tensor, device: str, *, bf16: bool) -> Run:
    net = getattr(backbones, name)(seed=0).to(device).eval()

    def run() -> float:
        with torch.no_grad(), _precision(device, bf16=bf16):
            x = images.to(device, non_blocking=True).float().div_(255)
            return float(net(x).sum())

    return run


def _precision(device: str, *, bf16: bool) -> AbstractContextManager[Any]:
    return torch.autocast(device, dtype=torch.bfloat16) if bf16 else nullcontext()


def _contest(
    title: str,
    contestants: Mapping[str, Callable[[], Run]],
    clock: Clock,
    sizes: Sizes,
    page: Page,
) -> list[dict[str, Any]]:
    with _exact_float32():
        rows = [clock.row(name, make, sizes.rounds) for name, make in contestants.items()]
    base = rows[0].seconds
    page.add(
        title,
        ["meta-batch", "s", f"x {rows[0].name}", "MB", "loss", ""],
        [
            [
                row.name,
                number(row.seconds),
                number(row.seconds / base),
                number(row.memory / MB),
                f"{row.loss:.4f}",
                row.error,
            ]
            for row in rows
        ],
    )
    return [
        {
            "table": title,
            "name": row.name,
            "seconds": row.seconds,
            "x first": row.seconds / base,
            "MB": row.memory / MB,
            "loss": row.loss,
            "error": row.error,
        }
        for row in rows
    ]


@contextmanager
def _exact_float32() -> Iterator[None]:
    """Convolutions in float32 and not in TF32, which cuDNN takes by default."""
    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def _machine(device: str) -> dict[str, Any]:
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU, tiny sizes"
    return {"device": name, "torch": torch.__version__, "CUDA": str(torch.version.cuda)}


if __name__ == "__main__":
    main()
