"""How deep the library's calls are: `python -m benchmarks.depth [ROOT] [--json FILE]`.

For each call: the frames of the package that stand on the stack at the deepest point, the files of
the package that the call enters, and the deepest stack itself, so that one sees where to flatten.
ROOT is another checkout; its package is measured instead of this one's.

Counted with `sys.setprofile`. A frame belongs to the package if its code stands in a file of the
package's folder. Python 3.11 runs a comprehension in a frame of its own and later versions do not,
so compare figures of one Python.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from benchmarks.measure import save, table

ROOT = Path(__file__).parents[1]
PACKAGE = "torchcross"


@dataclass
class Depth:
    """What one call went through: the deepest stack, outermost frame first, and every file."""

    stack: list[str] = field(default_factory=list)
    files: set[str] = field(default_factory=set)

    def as_row(self) -> list[str]:
        return [str(len(self.stack)), str(len(self.files))]


class Profile:
    """Records the depth of calls into the files of a folder; for `sys.setprofile`."""

    def __init__(self, folder: Path) -> None:
        self.depth = Depth()
        self._prefix = f"{os.path.realpath(folder)}{os.sep}"
        self._names: dict[str, str | None] = {}

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        name = self._name_in_folder(frame.f_code.co_filename)
        if event != "call" or name is None:
            return
        self.depth.files.add(name)
        stack = self._stack(frame)
        if len(stack) > len(self.depth.stack):
            self.depth.stack = stack

    def _name_in_folder(self, file: str) -> str | None:
        if file not in self._names:
            path = os.path.realpath(file)
            is_inside = path.startswith(self._prefix)
            self._names[file] = path.removeprefix(self._prefix) if is_inside else None
        return self._names[file]

    def _stack(self, innermost: FrameType) -> list[str]:
        lines = []
        frame: FrameType | None = innermost
        while frame is not None:
            name = self._name_in_folder(frame.f_code.co_filename)
            if name is not None:
                lines.append(f"{frame.f_code.co_qualname}  {name}:{frame.f_lineno}")
            frame = frame.f_back
        return lines[::-1]


@contextmanager
def depth_within(folder: Path) -> Iterator[Depth]:
    """Record how deep calls into the files of `folder` go while the block runs, in this thread."""
    profile = Profile(folder)
    before = sys.getprofile()
    sys.setprofile(profile)
    try:
        yield profile.depth
    finally:
        sys.setprofile(before)


def usual_calls() -> dict[str, Callable[[], object]]:
    """Return what a user calls first, in the order in which it can be called."""
    import torchcross as tx
    from torchcross.algorithms import MAML
    from torchcross.backbones import conv4
    from torchcross.data import toys

    source = toys.multiclass(size=16)
    sampler = tx.EpisodeSampler(source, ways=3, shots=2, queries=2, seed=0)
    episodes = tx.Episodes(sampler)
    batch = [episodes[index] for index in range(2)]
    maml = MAML(conv4(8, in_channels=1), steps=2, lr=0.1, head="zero")
    # The first two steps of a zero head share their features; later ones take the longest way.
    longer = MAML(conv4(8, in_channels=1), steps=4, lr=0.1, head="zero")
    losses: list[Any] = []
    return {
        "meta_loss": lambda: losses.append(maml.meta_loss(batch)),
        "meta_loss, four steps": lambda: longer.meta_loss(batch),
        "backward": lambda: losses.pop().backward(),
        "adapt": lambda: maml.adapt(batch[0].support, batch[0].task),
        "sampler[i]": lambda: sampler[17],
        "Episodes[i]": lambda: episodes[17],
    }


def depths(folder: Path) -> dict[str, Depth]:
    """Return the depth of every usual call; each runs once before, for imports and caches."""
    measured = {}
    calls = usual_calls()
    for call in calls.values():
        call()
    for name, call in calls.items():
        with depth_within(folder) as measured[name]:
            call()
    return measured


def package_folder(root: Path) -> Path:
    """Import the package of the checkout `root`, and return its folder."""
    sys.path.insert(0, str(root.resolve()))
    folder = Path(str(importlib.import_module(PACKAGE).__file__)).parent
    if folder.parent != root.resolve():
        raise SystemExit(f"imported {folder} instead of the package of {root}; unset PYTHONPATH")
    return folder


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.depth",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("root", nargs="?", type=Path, default=ROOT, help="a checkout; this one")
    parser.add_argument("--json", type=Path, help="write what was counted here too")
    options = parser.parse_args(arguments)
    measured = depths(package_folder(options.root))
    rows = [[name, *depth.as_row()] for name, depth in measured.items()]
    table("Depth of the library's calls", ["call", "frames", "files"], rows)
    for name, depth in measured.items():
        print(f"\n{name}, the deepest stack:")
        for number, line in enumerate(depth.stack, start=1):
            print(f"{number:4}  {line}")
    if options.json:
        results = {
            name: {"stack": depth.stack, "files": sorted(depth.files)}
            for name, depth in measured.items()
        }
        save(options.json, results)


if __name__ == "__main__":
    main()
