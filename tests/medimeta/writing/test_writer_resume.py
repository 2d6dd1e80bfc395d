"""A build that is interrupted, however hard, goes on to the same bytes, or starts again cleanly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from medimeta_adapter.writing.writer import DatasetWriter
from tests.medimeta.writing.toy_dataset import draft, fill, further_columns, image, labels, tree
from torchcross.errors import InputError, WriteError

ROOT = Path(__file__).parents[3]
ROWS = 45
COMMIT = 10

CHILD = """
import os, signal, sys
from pathlib import Path
from medimeta_adapter.writing import writer as module
from medimeta_adapter.writing import journal, partial, pixel_file, table
from tests.medimeta.writing.toy_dataset import draft, fill

folder, place, resume = sys.argv[1:]

module._COMMIT_ROWS = <commit>

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

owner, _, name = place.rpartition(".")
if owner:
    setattr(eval(owner), name, die)
with module.DatasetWriter(Path(folder), draft(), resume=resume == "yes") as made:
    if not owner:
        fill(made, int(place))
        die()
    fill(made, <rows>)
""".replace("<rows>", str(ROWS)).replace("<commit>", str(COMMIT))

PLACES = [
    *("0", "9", "10", "44", "journal.Journal.append", "pixel_file.PixelFile.with_rows"),
    *(
        "pixel_file.PixelFile.read",
        "table.JournalTable.write_labels",
        "module.write_splits",
        "module.write_tiffs",
        "partial.PartialFolder.finish",
    ),
]


def killed(folder: Path, place: str, *, resume: bool = True) -> None:
    command = [sys.executable, "-c", CHILD, str(folder), place, "yes" if resume else "no"]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is killed here is a process, not the machine."""
    monkeypatch.setattr(os, "sync", lambda: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What an uninterrupted build writes."""
    folder = tmp_path_factory.mktemp("whole") / "toy"
    with DatasetWriter(folder, draft()) as writer:
        fill(writer, ROWS)
    return tree(folder)


@pytest.mark.long
@pytest.mark.parametrize("place", PLACES)
def test_a_killed_build_goes_on_to_the_same_bytes(
    tmp_path: Path, whole: dict[str, bytes], place: str
) -> None:
    killed(tmp_path / "toy", place)
    assert not (tmp_path / "toy").exists()
    with DatasetWriter(tmp_path / "toy", draft(), resume=True) as writer:
        if place.isdigit():
            assert writer.count == int(place) // COMMIT * COMMIT
        else:
            assert writer.count == (0 if "append" in place else ROWS)
        fill(writer, ROWS)
    assert tree(tmp_path / "toy") == whole
    assert [entry.name for entry in tmp_path.iterdir()] == ["toy"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("place", "resume"), [("25", True), ("partial.PartialFolder.finish", False)]
)
def test_a_killed_build_starts_again_cleanly(
    tmp_path: Path, whole: dict[str, bytes], place: str, resume: bool
) -> None:
    killed(tmp_path / "toy", place, resume=resume)
    with DatasetWriter(tmp_path / "toy", draft()) as writer:
        assert writer.count == 0
        fill(writer, ROWS)
    assert tree(tmp_path / "toy") == whole
    assert [entry.name for entry in tmp_path.iterdir()] == ["toy"]


def interrupted(folder: Path, rows: int) -> Path:
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt),
        DatasetWriter(folder, draft(), resume=True) as writer,
    ):
        fill(writer, rows)
        raise KeyboardInterrupt
    return folder.with_name(f".{folder.name}.partial")


def test_an_exception_loses_no_row(tmp_path: Path, whole: dict[str, bytes]) -> None:
    for rows in (1, 17, 37):
        interrupted(tmp_path / "toy", rows)
        assert not (tmp_path / "toy").exists()
    with DatasetWriter(tmp_path / "toy", draft(), resume=True, total=ROWS) as writer:
        assert writer.count == 37
        fill(writer, ROWS)
    assert tree(tmp_path / "toy") == whole


def test_an_end_that_fails_can_be_tried_again(tmp_path: Path) -> None:
    with (  # noqa: PT012
        pytest.raises(WriteError, match="no split"),
        DatasetWriter(tmp_path / "toy", draft(), resume=True) as writer,
    ):
        for row in range(3):
            writer.add(image(row), labels(row), **{**further_columns(row), "split": None})
    with DatasetWriter(tmp_path / "toy", draft(), resume=True) as writer:
        assert writer.count == 3
        writer.assign_splits(["test", "train", "train"])
    assert (tmp_path / "toy/splits/test.txt").read_text() == "images/000000.tiff\n"


@pytest.mark.parametrize("torn", [b'{"row":5,"rows":1,"lab', b"\n"[:0], b'{"row":5,"rows":1}'])
def test_a_torn_last_line_is_no_line(tmp_path: Path, torn: bytes) -> None:
    with DatasetWriter(tmp_path / "whole/toy", draft()) as writer:
        fill(writer, 8)
    journal = interrupted(tmp_path / "toy", 5) / ".journal.jsonl"
    with journal.open("ab") as file:
        file.write(torn)
    with DatasetWriter(tmp_path / "toy", draft(), resume=True) as writer:
        assert writer.count == 5
        fill(writer, 8)
    assert tree(tmp_path / "toy") == tree(tmp_path / "whole/toy")


def test_a_damaged_build_is_refused(tmp_path: Path) -> None:
    partial = interrupted(tmp_path / "toy", 5)
    journal = partial / ".journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    for damaged in (
        *([b"{\n", *lines[1:]], [*lines[:2], *lines[3:]], [b"[]\n"], [b'{"draft":1}\n']),
        *(lines[1:], [lines[0], b"[]\n"], [lines[0], b'{"row":0}\n']),
    ):
        journal.write_bytes(b"".join(damaged))
        with pytest.raises(WriteError, match=r"line \d, is damaged; start again with resume=False"):
            DatasetWriter(tmp_path / "toy", draft(), resume=True).__enter__()
    journal.write_bytes(b"".join(lines))
    (partial / "images.hdf5").write_bytes(b"")
    with pytest.raises(WriteError, match="lost pixels"):
        DatasetWriter(tmp_path / "toy", draft(), resume=True).__enter__()


def test_only_the_same_draft_goes_on(tmp_path: Path) -> None:
    interrupted(tmp_path / "toy", 5)
    with pytest.raises(WriteError, match=r"domain was 'Toys' and is 'Elsewhere'; input_size\[0\]"):
        DatasetWriter(tmp_path / "toy", draft(3, domain="Elsewhere"), resume=True).__enter__()
    with DatasetWriter(tmp_path / "toy", draft(), resume=True) as writer:
        assert writer.count == 5
    journal = interrupted(tmp_path / "two/toy", 2) / ".journal.jsonl"
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join([b'{"draft":{"id":"toy"}}\n', *lines[1:]]))
    with pytest.raises(WriteError, match=r"start again with resume=False"):
        DatasetWriter(tmp_path / "two/toy", draft(), resume=True).__enter__()
    with DatasetWriter(tmp_path / "two/toy", draft(), overwrite=True) as writer:
        fill(writer, 2)


@pytest.mark.long
def test_one_without_rows_is_begun_anew(tmp_path: Path) -> None:
    killed(tmp_path / "toy", "journal.Journal.append")
    with DatasetWriter(tmp_path / "toy", draft(3, domain="Elsewhere"), resume=True) as writer:
        assert writer.count == 0
        fill(writer, 5, channels=3)
    with DatasetWriter(tmp_path / "other/toy", draft(3, domain="Elsewhere")) as writer:
        fill(writer, 5, channels=3)
    assert tree(tmp_path / "toy") == tree(tmp_path / "other/toy")


def test_stamps_and_pixels_are_told_after_a_resume(tmp_path: Path) -> None:
    interrupted(tmp_path / "toy", 1)
    batch = {name: [values[name] for values in map(labels, (1, 2))] for name in labels(0)}
    with (  # noqa: PT012
        pytest.raises(KeyboardInterrupt),
        DatasetWriter(tmp_path / "toy", draft(), resume=True) as writer,
    ):
        with pytest.raises(InputError, match="stamps has 1 entries for 2 images"):
            writer.add_batch(np.stack([image(1), image(2)]), batch, splits="train", stamps=["a"])
        writer.add_batch(np.stack([image(1), image(2)]), batch, splits="train", stamps=["a", "b"])
        raise KeyboardInterrupt
    with DatasetWriter(tmp_path / "toy", draft(), resume=True) as writer:
        assert writer.stamps() == [None, "a", "b"]
        np.testing.assert_array_equal(writer.pixels(2), image(2))
        with pytest.raises(InputError, match="no row 3"):
            writer.pixels(3)


@pytest.mark.long
def test_a_build_begun_without_resume_is_not_resumed(tmp_path: Path) -> None:
    killed(tmp_path / "toy", "25", resume=False)
    with pytest.raises(WriteError, match="begun without resume=True; start again"):
        DatasetWriter(tmp_path / "toy", draft(), resume=True).__enter__()


def test_a_crash_between_two_renames_brings_the_old_dataset_back(tmp_path: Path) -> None:
    with DatasetWriter(tmp_path / "toy", draft()) as writer:
        fill(writer, 3)
    before = tree(tmp_path / "toy")
    (tmp_path / "toy").rename(tmp_path / ".toy.replaced")
    with pytest.raises(WriteError, match="exists"):
        DatasetWriter(tmp_path / "toy", draft()).__enter__()
    assert tree(tmp_path / "toy") == before


def left_behind(folder: Path) -> None:
    """A dataset whose build was killed between its last rename and its last step."""
    partial = interrupted(folder, 5)
    journal = (partial / ".journal.jsonl").read_bytes()
    with DatasetWriter(folder, draft(), resume=True) as writer:
        assert writer.count == 5
    (folder / ".journal.jsonl").write_bytes(journal)


def test_a_build_that_ended_before_its_last_step_is_finished(tmp_path: Path) -> None:
    left_behind(tmp_path / "toy")
    with DatasetWriter(tmp_path / "toy", draft(), resume=True) as writer:
        assert writer.count == 5
    with DatasetWriter(tmp_path / "whole/toy", draft()) as writer:
        fill(writer, 5)
    assert tree(tmp_path / "toy") == tree(tmp_path / "whole/toy")
    with pytest.raises(WriteError, match="exists"):
        DatasetWriter(tmp_path / "toy", draft(), resume=True).__enter__()


@pytest.mark.parametrize("resume", [True, False])
def test_another_build_leaves_a_dataset_that_lacks_its_last_step(
    tmp_path: Path, resume: bool
) -> None:
    left_behind(tmp_path / "toy")
    before = tree(tmp_path / "toy")
    another = draft(domain="Elsewhere") if resume else draft()
    with pytest.raises(WriteError, match="exists"):
        DatasetWriter(tmp_path / "toy", another, resume=resume).__enter__()
    del before[".journal.jsonl"]
    assert tree(tmp_path / "toy") == before


def test_the_old_dataset_of_a_finished_overwrite_is_removed(tmp_path: Path) -> None:
    for folder in ("toy", "old/toy"):
        with DatasetWriter(tmp_path / folder, draft()) as writer:
            fill(writer, 3)
    before = tree(tmp_path / "toy")
    (tmp_path / "old/toy").rename(tmp_path / ".toy.replaced")
    with pytest.raises(WriteError, match="exists"):
        DatasetWriter(tmp_path / "toy", draft()).__enter__()
    assert tree(tmp_path / "toy") == before
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["old", "toy"]
