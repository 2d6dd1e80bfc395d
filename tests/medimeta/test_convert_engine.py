"""What all converters share: duplicates, limits, resuming, progress, order, and options."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from medimeta_adapter.convert import (
    ArrayTask,
    Converted,
    Options,
    ProgressBar,
    ProgressBars,
    arrays,
    csv_images,
    dataset,
    hugging_face,
    image_folder,
    medmnist,
)
from medimeta_adapter.preprocess import RGB, CentreCropSquare, Grey, Recipe, Resize, ScaleByBits
from tests.medimeta.convert_cases import ABOUT, SMALL, Written, split_counts
from torchcross.errors import InputError, ReadError, WriteError

COUNT = 40
NUMBERED = np.broadcast_to(np.arange(COUNT, dtype=np.uint8)[:, None, None], (COUNT, 8, 8))
TASKS = [ArrayTask("parity", "binary", np.arange(COUNT) % 2, ["even", "odd"])]


class Watched:
    """Images that count their readings, and stop at one of them."""

    def __init__(self, images: Any, stop: int | None = None) -> None:
        self.shape = images.shape
        self.read: list[int] = []
        self._images, self._stop = images, stop

    def __getitem__(self, place: int) -> Any:
        if place == self._stop:
            raise KeyboardInterrupt
        self.read.append(place)
        return self._images[place]


def convert(
    tmp_path: Path, images: Any = NUMBERED, tasks: Any = TASKS, **changes: Any
) -> Converted:
    more = {
        name: changes.pop(name)
        for name in ("subjects", "splits", "original_splits", "progress")
        if name in changes
    }
    if "draw" in changes:
        changes["splits"] = changes.pop("draw")
    return arrays(images, tasks, tmp_path, ABOUT, options=replace(SMALL, **changes), **more)


@pytest.mark.parametrize("threads", [1, 4])
def test_rows_keep_their_order(tmp_path: Path, threads: int) -> None:
    assert Written(convert(tmp_path, threads=threads)).numbers() == list(range(COUNT))


def test_bars_say_how_far_it_is() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    with ProgressBars(wanted=True, console=console) as tell:
        tell("one", 0, 40)
        tell("two", 3, 5)
        tell("one", 40, 40)
    with ProgressBar(name="three", wanted=True, console=console) as one:
        one(2, 7)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert all(part in shown for part in ("one", "40/40", "two", "3/5", "three", "2/7"))


def test_progress_ends_at_all(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    convert(tmp_path, progress=lambda done, total: told.append((done, total)))
    assert told[0] == (0, COUNT)
    assert told[-2] == (COUNT - 1, COUNT)
    assert told[-1] == (COUNT, COUNT)


def test_an_interrupted_conversion_goes_on_without_reading_again(tmp_path: Path) -> None:
    big = np.broadcast_to(np.arange(3000, dtype=np.uint16)[:, None, None], (3000, 8, 8)).astype(
        np.uint8
    )
    tasks = [ArrayTask("parity", "binary", np.arange(3000) % 2)]
    with pytest.raises(KeyboardInterrupt):
        convert(tmp_path, Watched(big, stop=2500), tasks)
    assert not (tmp_path / "shapes").exists()
    again = Watched(big)
    written = Written(convert(tmp_path, again, tasks))
    assert len([place for place in again.read if place < 2000]) <= 32  # a look at some of them
    assert written.images[:, 0, 0].tolist() == big[:, 0, 0].tolist()


def test_another_conversion_does_not_go_on_with_it(tmp_path: Path) -> None:
    big = np.zeros((2100, 8, 8), np.uint8)
    with pytest.raises(KeyboardInterrupt):
        convert(
            tmp_path, Watched(big, stop=2050), [ArrayTask("parity", "binary", np.arange(2100) % 2)]
        )
    other = [ArrayTask("parity", "binary", np.arange(2100) % 3 == 0)]
    with pytest.raises(
        WriteError, match=r"label of 'parity' of images\[0\], images\[1\], .*resume=False"
    ):
        convert(tmp_path, big, other)
    assert convert(tmp_path, big, other, resume=False).written == 2100


def test_other_pixels_do_not_go_on_with_it(tmp_path: Path) -> None:
    tasks = [ArrayTask("parity", "binary", np.arange(3000) % 2)]
    old, new = np.full((3000, 8, 8), 10, np.uint8), np.full((3000, 8, 8), 200, np.uint8)
    with pytest.raises(KeyboardInterrupt):
        convert(tmp_path, Watched(old, stop=2500), tasks)
    with pytest.raises(
        WriteError, match=r"arrays has changed .*the pixels of images\[0\] differ.*--restart"
    ):
        convert(tmp_path, new, tasks)
    broken = np.full((3000, 8, 8), 10, np.uint16)
    with pytest.raises(WriteError, match=r"images\[0\] cannot be read: .*more than 8 bits"):
        convert(tmp_path, broken, tasks)
    assert set(Written(convert(tmp_path, old, tasks)).numbers()) == {10}


def test_one_that_has_no_rows_yet_is_no_obstacle(tmp_path: Path) -> None:
    images = np.full((COUNT, 8, 8), 4095, np.uint16)
    with pytest.raises(ReadError, match=r"--bits"):
        convert(tmp_path, images)
    written = Written(convert(tmp_path, images, depth=ScaleByBits(12), size=6, channels=3))
    assert written.images.shape == (COUNT, 6, 6, 3)


def test_what_is_there_is_not_replaced_unasked(tmp_path: Path) -> None:
    convert(tmp_path)
    unread = Watched(NUMBERED)
    with pytest.raises(WriteError, match=r"exists.*--overwrite"):
        convert(tmp_path, unread, duplicates="drop")
    assert unread.read == []
    assert convert(tmp_path, overwrite=True).written == COUNT


CALLS: dict[str, Callable[[Path], Any]] = {
    "arrays": lambda out: arrays(None, [], out, ABOUT),
    "dataset": lambda out: dataset(None, out, ABOUT),
    "image_folder": lambda out: image_folder("none", out, ABOUT),
    "csv_images": lambda out: csv_images("none", out, ABOUT, []),
    "medmnist": lambda out: medmnist("none", out, ABOUT, kind="none"),
    "hugging_face": lambda out: hugging_face(None, out, ABOUT),
}


@pytest.mark.parametrize("name", list(CALLS))
def test_where_it_goes_is_looked_at_before_where_it_comes_from(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        convert(tmp_path, progress=lambda done, total: busy(name, tmp_path))
    convert(tmp_path)
    with pytest.raises(WriteError, match="exists"):
        CALLS[name](tmp_path)


def busy(name: str, out: Path) -> None:
    with pytest.raises(WriteError, match="being written by another writer"):
        CALLS[name](out)
    raise KeyboardInterrupt


def test_duplicates_are_dropped_and_contradictions_too(tmp_path: Path) -> None:
    images = np.array(NUMBERED)
    images[10] = images[4]  # the same label
    images[21] = images[6]  # another label
    kept = convert(tmp_path / "kept", images)
    assert (kept.written, kept.duplicates, kept.contradictory) == (COUNT, 0, 0)
    dropped = convert(tmp_path / "dropped", images, duplicates="drop")
    assert (dropped.given, dropped.written, dropped.duplicates, dropped.contradictory) == (
        COUNT,
        COUNT - 3,
        1,
        2,
    )
    assert Written(dropped).numbers() == [n for n in range(COUNT) if n not in (6, 10, 21)]
    assert "1 duplicates left out, 2 with contradictory labels left out" in str(dropped)


def test_one_image_under_two_labels_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no row remains"):
        convert(tmp_path, np.zeros((COUNT, 8, 8), np.uint8), duplicates="drop")


def test_two_images_under_two_labels_each_leave_nothing(tmp_path: Path) -> None:
    images = np.where(np.arange(4) < 2, 3, 9).astype(np.uint8)[:, None, None] + np.zeros(
        (4, 8, 8), np.uint8
    )
    with pytest.raises(InputError, match=r"each of the 2 pictures in arrays has several labels"):
        convert(
            tmp_path, images, [ArrayTask("parity", "binary", np.arange(4) % 2)], duplicates="drop"
        )


def test_images_with_the_same_trouble_are_told_together(tmp_path: Path) -> None:
    images = [
        np.zeros((8, 8), np.uint16) if n % 2 else np.zeros((8, 8), np.uint8) for n in range(COUNT)
    ]
    with pytest.raises(ReadError, match="20 of 40") as caught:
        dataset([(image, n % 2) for n, image in enumerate(images)], tmp_path, ABOUT, options=SMALL)
    assert str(caught.value).count("more than 8 bits") == 1
    assert "[1], [3], [5]" in str(caught.value)
    assert "[19] and 10 more" in str(caught.value)


def test_a_limit_per_class_is_spread_over_the_source(tmp_path: Path) -> None:
    written = Written(convert(tmp_path, limit=5))
    assert sorted(written.labels("parity")) == [0] * 5 + [1] * 5
    assert written.numbers()[0] < 4
    assert written.numbers()[-1] > COUNT - 4


def test_a_limit_per_label_of_yes_and_no(tmp_path: Path) -> None:
    values = np.stack([np.arange(COUNT) % 2, np.arange(COUNT) % 4 == 0], axis=1)
    written = Written(convert(tmp_path, tasks=[ArrayTask("marks", "multilabel", values)], limit=3))
    assert np.array(written.labels("marks")).sum(axis=0).tolist() == [3, 3]
    assert sum(not any(row) for row in written.labels("marks")) == 3


def test_splits_as_they_are_to_be(tmp_path: Path) -> None:
    splits = ["train"] * 20 + ["validation"] * 10 + ["test"] * 10
    written = Written(convert(tmp_path, splits=splits))
    assert split_counts(written.splits()) == {"train": 20, "val": 10, "test": 10}
    assert written.info["original_splits_num_samples"] == {"train": 0, "val": 0, "test": 0}


def test_given_splits_are_final(tmp_path: Path) -> None:
    splits = ["train"] * 30 + ["test"] * 10
    written = Written(
        convert(
            tmp_path, splits=np.array(splits, dtype="S"), subjects=[f"s{n % 20}" for n in range(40)]
        )
    )
    assert written.splits() == splits
    with pytest.raises(InputError, match=r"--splits new.*leave one"):
        convert(tmp_path / "new", splits=splits, draw="new")


def test_subjects_that_the_source_splits_are_counted(tmp_path: Path) -> None:
    splits = ["train"] * 20 + ["val"] * 10 + ["test"] * 10
    subjects = ["a"] * 2 + [f"s{n}" for n in range(2, 39)] + ["a"]
    converted = convert(tmp_path, splits=splits, subjects=subjects)
    assert converted.shared_subjects == 1
    assert "1 subjects are in several splits" in str(converted)


def test_a_split_for_some_rows_only(tmp_path: Path) -> None:
    splits = ["train"] * 20 + ["val"] * 10 + ["test"] * 9 + [""]
    with pytest.raises(
        InputError, match=r"1 rows of arrays have no split, the first 'images\[39\]'"
    ):
        convert(tmp_path, splits=splits)
    for missing in ("train", "test"):
        given = [missing] * 39 + [""]
        with pytest.raises(InputError, match=r"1 rows of arrays have no split"):
            convert(tmp_path, splits=given)
        with pytest.raises(InputError, match=r"1 rows of arrays have no split.*--splits new"):
            convert(tmp_path, original_splits=given)
    with pytest.raises(InputError, match="'holdout' is not a split"):
        convert(tmp_path, splits=["holdout"] * COUNT)


def test_the_seed_draws_the_splits(tmp_path: Path) -> None:
    drawn = [
        Written(convert(tmp_path / str(n), seed=seed)).splits() for n, seed in enumerate((0, 0, 1))
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_recipe_of_ones_own(tmp_path: Path) -> None:
    recipe = Recipe([RGB(), CentreCropSquare(), Resize(5)])
    written = Written(convert(tmp_path, recipe=recipe))
    assert written.images.shape == (COUNT, 5, 5, 3)
    assert "5 x 5" in written.info["conversion"]["preprocessing"]


def test_a_recipe_whose_images_differ_in_size(tmp_path: Path) -> None:
    recipe = Recipe([Grey()])
    with pytest.raises(ReadError, match=r"expected uint8 \(8, 8\)"):
        convert(tmp_path, np.zeros((COUNT, 9, 9), np.uint8), recipe=recipe)


def test_more_than_eight_bits_are_scaled_by_name(tmp_path: Path) -> None:
    images = np.full((COUNT, 8, 8), 4095, np.uint16)
    with pytest.raises(ReadError, match="40 of 40"):
        convert(tmp_path / "plain", images)
    assert set(Written(convert(tmp_path / "scaled", images, depth=ScaleByBits(12))).numbers()) == {
        255
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"size": 0}, "size=0"),
        ({"size": True}, "size=True"),
        ({"channels": 2}, "channels=2"),
        ({"fit": "squeeze"}, "'crop', 'pad'"),
        ({"splits": "old"}, "'original', 'new'"),
        ({"duplicates": "maybe"}, "'keep', 'drop'"),
        ({"threads": 0}, "threads=0"),
        ({"limit": 0}, "limit=0"),
    ],
)
def test_wrong_options(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        Options(**change)


def test_a_split_that_is_missing_is_drawn_by_subject(tmp_path: Path) -> None:
    subjects = [f"s{n % 20}" for n in range(COUNT)]
    splits = ["test" if n < 4 else "train" for n in range(COUNT)]
    converted = convert(tmp_path, original_splits=splits, subjects=subjects)
    written = Written(converted)
    assert written.split("test") == [
        0,
        1,
        2,
        3,
        20,
        21,
        22,
        23,
    ]  # the other images of these four come along
    assert converted.shared_subjects == 0
    assert 0 < len(written.split("val")) <= 8


def test_the_bar_counts_tiffs_and_the_looks_before(tmp_path: Path) -> None:
    told: list[int] = []
    there: list[int] = []

    def tell(done: int, total: int) -> None:
        assert total == COUNT
        told.append(done)
        there.append(len(list(tmp_path.glob(".shapes.partial/images/*.tiff"))))

    convert(tmp_path, progress=tell, tiffs=True, duplicates="drop", skip_unreadable=True)
    assert told == sorted(told)
    assert told[-1] == COUNT
    assert COUNT not in told[:-1]
    # Two of four passes are looks, the third decodes, and the fourth writes TIFFs.
    assert told[COUNT - 1] == COUNT // 4
    assert told[2 * COUNT - 1] == COUNT // 2
    without_tiffs = [done for done, files in zip(told[:-1], there[:-1], strict=True) if not files]
    assert max(without_tiffs) == 3 * COUNT // 4
    assert (there[-2], told[-2]) == (COUNT, COUNT - 1)
