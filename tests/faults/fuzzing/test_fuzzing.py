"""Changed files of every format: each is read, or refused with an error of the library.

`make test` tries a few changes of each format and always the same, `make fuzz` many new ones:
`make fuzz CASES=1000` so many of each.
"""

from __future__ import annotations

import os
import signal
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import Phase, given

from tests.examples import max_examples
from tests.faults.bit_flips import Files, files_of, restore
from tests.faults.fuzzing.formats import FORMATS, Format
from tests.faults.fuzzing.mutations import Mutation, mutated, mutations
from torchcross._kit.process_memory import most_resident_bytes
from torchcross.errors import TorchcrossError

CASES = 3
FUZZ_CASES = int(os.environ.get("CASES") or 200)
SECONDS = 10
MEGABYTES = 300
LONGEST_MESSAGE = 4100


@dataclass(frozen=True, repr=False)
class Fuzzed:
    """A valid file of a format, under `name`, and the files beside it."""

    format: Format
    root: Path
    name: str
    files: Files

    def __repr__(self) -> str:
        return f"Fuzzed({self.name!r})"

    def read(self, changes: Sequence[Mutation] = ()) -> None:
        """Read the file with the changes; the folder is as it was but for them."""
        inner = mutated(self.format.inner(self.files[self.name]), changes, self.format.tokens)
        restore(self.root, {**self.files, self.name: self.format.outer(inner)})
        self.format.read(self.root / self.name)


@pytest.fixture(scope="module", params=FORMATS)
def fuzzed(
    request: pytest.FixtureRequest,
    functions_of_runs: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Fuzzed:
    root = tmp_path_factory.mktemp("fuzzing")
    what = FORMATS[request.param]
    path = what.make(root)
    return Fuzzed(what, root, str(path.relative_to(root)), files_of(root))


@contextmanager
def bounds() -> Iterator[None]:
    """Fail where reading takes too long, or too much memory at its peak."""

    def stop(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"reading took over {SECONDS} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    memory = most_resident_bytes() or 0
    start = time.process_time()
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    assert time.process_time() - start < SECONDS
    assert (most_resident_bytes() or 0) - memory < MEGABYTES << 20


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="no alarm that ends a long reading")
# To make a failed example smaller takes minutes, and one to three changes are small.
@max_examples(CASES, fuzz=FUZZ_CASES, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(changes=mutations)
def test_a_changed_file_is_read_or_refused(fuzzed: Fuzzed, changes: Sequence[Mutation]) -> None:
    message = ""
    with bounds(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            fuzzed.read(changes)
        except TorchcrossError as error:
            message = str(error)
    assert len(message) <= LONGEST_MESSAGE


def test_what_is_not_changed_is_read(fuzzed: Fuzzed) -> None:
    fuzzed.read()
