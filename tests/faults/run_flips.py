"""One flipped bit in a file of a run: `verify` notices, and the run refuses it or mends it.

The run is a tiny one over made-up sources in memory. It is in one of two states: finished, or
stopped within a training. After a flip in a training of the finished run all rows are removed, so
that the training is read again.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torchcross.experiment.run.provenance as provenance
import torchcross.experiment.run.targets as targets
from tests.experiment.conftest import Toys, toy_experiment
from tests.faults.bit_flips import Files, Flip, files_of, restore
from torchcross._kit import tensor_files
from torchcross.data.plan_files.drawn_images import read_drawn_images
from torchcross.errors import TorchcrossError
from torchcross.experiment import RunFolder, run_experiment, verify_run, write_page
from torchcross.experiment.run.examples import read_example
from torchcross.experiment.run.folder import FAILURES, PROTOCOL, PROVENANCE, SET_ASIDE
from torchcross.experiment.run.json_files import read_json
from torchcross.experiment.run.page_files import HASHES, IMAGE_TABLES, PAGE, TABLES
from torchcross.training.log import read_hashed_log

EXPERIMENT = toy_experiment(
    algorithms=["scratch", "protonet"], shots=[1], **{"data.targets": ["hole"]}
)
_PAGE_FILES = (PAGE, HASHES, *TABLES, *IMAGE_TABLES)
_CELL = ("rows/", "episodes/", "examples/", "predictions/")


@dataclass(frozen=True)
class FlippedRun:
    """A run whose files are flipped, in `folder`.

    states    where flips begin
    contents  what is read in each state
    whole     the files that an undisturbed run ends with
    """

    folder: Path
    states: Mapping[str, Files]
    contents: Mapping[str, Mapping[str, Any]]
    whole: Files

    @classmethod
    def prepare(cls, folder: Path) -> FlippedRun:
        """Make the run. Every later run of this process has the same sources and git state."""
        made = Toys()
        vars(targets)["open_collection"] = lambda kind, folder, **how: made
        vars(provenance)["git_state"] = lambda folder: {"commit": "none"}
        run_experiment(EXPERIMENT, folder)
        write_page(folder)
        whole = files_of(folder)
        states = {"finished": whole, "stopped": dict(_stopped(whole))}
        contents = {}
        for state, files in states.items():
            restore(folder, files)
            contents[state] = content_of(folder)
        return cls(folder, states, contents, whole)

    def problem_of(self, flip: Flip) -> str:
        """What does not hold after a flip; empty where all does."""
        before = dict(self.states[flip.state])
        before[flip.name] = flip.of(before[flip.name])
        restore(self.folder, before)
        try:
            is_noticed = notices(self.folder, flip.name)
            if not is_noticed and content_of(self.folder) != self.contents[flip.state]:
                return "verify says that all is whole, and other values are read"
            if flip.name.startswith("train/") and flip.state == "finished":
                before = {name: before[name] for name in before if not name.startswith(_CELL)}
                restore(self.folder, before)
            return self._problem_of_going_on(flip, before)
        except Exception:  # noqa: BLE001  # it is reported
            return f"raw: {traceback.format_exc()[-1500:]}"

    def _problem_of_going_on(self, flip: Flip, before: Files) -> str:
        message = ""
        try:
            failures = run_experiment(EXPERIMENT, self.folder).failures
            message = "; ".join(failure["reason"] for failure in failures)
            write_page(self.folder)
        except TorchcrossError as error:
            message = str(error)
        if message and Path(flip.name).name not in message:
            return f"the error does not name the file: {message}"
        after = files_of(self.folder)
        if not message and (lost := self.whole.keys() - after.keys()):
            return f"without an error, these are gone: {sorted(lost)}"
        for name, content in after.items():
            is_mended = content == self.whole.get(name) or name.endswith(SET_ASIDE)
            shows_failure = message and name in (FAILURES, *_PAGE_FILES)
            if not is_mended and not shows_failure and content != before.get(name):
                return f"{name} is another one than that of an undisturbed run"
        if message or after[flip.name] == self.whole[flip.name] or notices(self.folder, flip.name):
            return ""
        if content_of(self.folder) != self.contents["finished"]:
            return "after going on, other values are read, and verify says that all is whole"
        return ""


def _stopped(whole: Files) -> Iterator[tuple[str, bytes]]:
    """A run that was killed after its first checkpoint, when the log was already further."""
    last = max(name for name in whole if "/checkpoint-" in name)
    for name, content in whole.items():
        is_later = name == last or Path(name).name in ("training.json", "weights.safetensors")
        is_of_its_rows = name.startswith(_CELL) and "protonet-" in name
        if not is_later and not is_of_its_rows and name not in _PAGE_FILES:
            yield name, content


def notices(folder: Path, name: str) -> bool:
    """Whether `verify` calls the file damaged; of a page's file, page.json says what it was."""
    damaged = {check.name for check in verify_run(folder).checks if check.state == "damaged"}
    return name in damaged or (name in _PAGE_FILES and HASHES in damaged)


def content_of(folder: Path) -> dict[str, Any]:
    """All that is ever read of a run, as values that can be compared."""
    run = RunFolder(folder)
    columns = run.records().columns
    content: dict[str, Any] = {
        "records": {name: column.tolist() for name, column in columns.items()},
        "experiment": run.experiment,
        "episodes": run.episodes(),
        "plain": [run.plain(name) for name in (PROTOCOL, PROVENANCE, FAILURES)],
    }
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".safetensors":
            tensors, metadata = tensor_files.read(path)
            values = {name: value.numpy().tobytes() for name, value in tensors.items()}
            content[str(path)] = (values, metadata)
        elif path.suffix == ".npz" and path.parent.name == "episodes":
            drawn = read_drawn_images(path)
            content[str(path)] = (drawn.digest, drawn.images.tobytes(), drawn.strata.tobytes())
        elif path.suffix == ".npz":
            example = read_example(path, hashed=True)
            pictures = (*example.support, *example.query)
            pixels = [each.pixels.tobytes() for each in pictures]
            content[str(path)] = (pixels, [each.truth for each in pictures], example.score)
        elif path.name == "training.json":
            content[str(path)] = read_json(path, hashed=True)
        elif path.name == "log.csv":
            content[str(path)] = read_hashed_log(path)
        elif path.name in (PAGE, *TABLES, *IMAGE_TABLES):
            content[str(path)] = path.read_bytes()
    return content
