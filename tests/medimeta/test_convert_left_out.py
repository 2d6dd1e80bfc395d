"""What is left out of a dataset, and how a conversion goes on when its source has changed."""

from __future__ import annotations

import csv
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from medimeta_adapter.convert import (
    About,
    Converted,
    CsvTask,
    Options,
    csv_images,
    engine,
    hugging_face,
    image_folder,
)
from tests.medimeta.convert_cases import ABOUT, SMALL, Written, picture, save
from torchcross.errors import InputError, ReadError, WriteError

SKIP = replace(SMALL, skip_unreadable=True)


def shapes(root: Path, count: int = 10) -> Path:
    for place, shape in enumerate(("disc", "star")):
        for n in range(count):
            save(picture(place * 100 + n), root / shape / f"{n:02d}.png")
    return root


def convert(root: Path, out: Path, options: Options = SMALL, **more: Any) -> Converted:
    return image_folder(root, out, ABOUT, options=options, **more)


def damage(*paths: Path) -> None:
    for path in paths:
        path.write_bytes(b"no image")


def left_out(converted: Converted) -> list[list[str]]:
    with (converted.folder / "left_out.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


# -- unreadable images -----------------------------------------------------------------------------


def test_unreadable_images_are_left_out_and_listed(tmp_path: Path) -> None:
    root = shapes(tmp_path / "in")
    damage(root / "disc/03.png", root / "star/09.png")
    (root / "disc/04.png").write_bytes((root / "disc/04.png").read_bytes()[:40])
    with pytest.raises(ReadError, match=r"3 of 20 .*skip_unreadable=True \(--skip-unreadable\)"):
        convert(root, tmp_path / "out")
    converted = convert(root, tmp_path / "out", SKIP)
    assert (converted.given, converted.written, converted.unreadable) == (20, 17, 3)
    assert "17 of 20 rows, 3 unreadable left out" in str(converted)
    names = ["disc/03.png", "disc/04.png", "star/09.png"]
    assert all(f"\n  {name} (" in converted.describe() for name in names)
    assert [line[:2] for line in left_out(converted)[1:]] == [[n, "unreadable"] for n in names]
    assert "not an image" in left_out(converted)[1][2]
    assert Written(converted).info["conversion"]["left_out"] == {"unreadable": 3}
    # The rest is what a folder without these files gives.
    for name in names:
        (root / name).unlink()
    assert (
        tree(converted.folder).items()
        >= {
            name: content
            for name, content in tree(convert(root, tmp_path / "other").folder).items()
            if name != "info.yaml"
        }.items()
    )


def test_unreadable_images_of_a_table(tmp_path: Path) -> None:
    root = shapes(tmp_path / "in")
    damage(root / "disc/03.png")
    names = [path.relative_to(root).as_posix() for path in sorted(root.rglob("*.png"))]
    lines = ["path,shape", *(f"{name},{name[:4]}" for name in [*names, "star/vanished.png"])]
    (root / "table.csv").write_text("\n".join(lines))
    task = [CsvTask("shape", "binary", "shape")]
    converted = csv_images(root / "table.csv", tmp_path / "out", ABOUT, task, options=SKIP)
    assert [line[0] for line in left_out(converted)[1:]] == ["disc/03.png", "star/vanished.png"]
    assert converted.written == 19


def test_unreadable_images_of_a_hugging_face_dataset(tmp_path: Path) -> None:
    root = shapes(tmp_path / "in")
    damage(root / "star/03.png")
    paths = sorted(root.rglob("*.png"))
    features = {"image": datasets.Image(), "kind": datasets.ClassLabel(names=["disc", "star"])}
    columns = {"image": [str(path) for path in paths], "kind": [n // 10 for n in range(20)]}
    source = datasets.Dataset.from_dict(columns, features=datasets.Features(features))
    converted = hugging_face(source, tmp_path / "out", ABOUT, options=SKIP)
    assert (converted.written, left_out(converted)[1][0]) == (19, "[13]")


def test_images_that_need_an_option_are_not_left_out(tmp_path: Path) -> None:
    root = shapes(tmp_path / "in")
    Image.fromarray(np.full((9, 9), 3000, np.uint16)).save(root / "disc/03.png")
    with pytest.raises(ReadError, match="1 of 20") as caught:
        convert(root, tmp_path / "out", SKIP)
    assert "--bits" in str(caught.value)
    assert "--skip-unreadable" not in str(caught.value)


def test_if_no_image_can_be_read_nothing_is_written(tmp_path: Path) -> None:
    root = shapes(tmp_path / "in", 2)
    damage(*root.rglob("*.png"))
    said = rf"none of the 4 images of image folder in \({re.escape(str(root))}\) can be read"
    with pytest.raises(InputError, match=said):
        convert(root, tmp_path / "out", SKIP)
    assert not (tmp_path / "out").exists()


def test_duplicates_and_files_passed_over_are_listed(tmp_path: Path) -> None:
    root = shapes(tmp_path / "in")
    save(picture(3), root / "disc/again.png")
    save(picture(4), root / "star/as_disc.png")
    (root / "disc/notes.txt").write_text("x")
    (root / ".git").mkdir()
    (root / "moon").mkdir()
    converted = convert(root, tmp_path / "out", replace(SMALL, duplicates="drop"))
    assert left_out(converted)[1:] == [
        ["disc/notes.txt", "no image by its ending", ""],
        [".git/", "hidden", ""],
        ["moon", "folder without images", ""],
        ["disc/04.png", "contradictory labels", ""],
        ["disc/again.png", "duplicate", "the content of disc/03.png"],
        ["star/as_disc.png", "contradictory labels", "the content of disc/04.png"],
    ]
    for name in ("disc/notes.txt", ".git/", "moon", "disc/again.png (the content of disc/03.png)"):
        assert f"\n  {name}\n" in converted.describe()


def test_long_lists_are_shortened_on_screen_alone(tmp_path: Path) -> None:
    root = shapes(tmp_path / "in")
    for n in range(30):
        (root / "disc" / f"{n:02d}.txt").write_text("x")
    converted = convert(root, tmp_path / "out")
    assert "  disc/09.txt\n  and 20 more\n" in converted.describe()
    assert "disc/10.txt" not in converted.describe()
    assert len(left_out(converted)) == 31


def test_a_file_passed_over_may_have_any_name(tmp_path: Path) -> None:
    root = shapes(tmp_path / "in")
    (root / "disc/x\udcff.txt").write_text("x")
    converted = convert(root, tmp_path / "out")
    assert left_out(converted)[1][0] == "disc/x\\udcff.txt"
    (root / "=A1.txt").write_text("x")
    assert left_out(convert(root, tmp_path / "other"))[1][0] == "'=A1.txt"


def test_without_anything_left_out_there_is_no_list(tmp_path: Path) -> None:
    converted = convert(shapes(tmp_path / "in"), tmp_path / "out")
    assert not (converted.folder / "left_out.csv").exists()
    assert converted.describe() == str(converted)


# -- going on --------------------------------------------------------------------------------------


@pytest.fixture
def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of images whose conversion stopped at star/05.png, after 12 of 20 rows."""
    monkeypatch.setattr(engine, "_LARGEST_BATCH", 4)
    root = shapes(tmp_path / "in")
    damage(root / "star/05.png")
    with pytest.raises(ReadError, match="1 of 20"):
        convert(root, tmp_path / "out")
    return root


@pytest.mark.parametrize("way", ["delete", "skip", "repair"])
def test_one_unreadable_image_does_not_cost_the_rows_before_it(
    stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    begun = (tmp_path / "out/.shapes.partial/.journal.jsonl").read_bytes()
    if way == "delete":
        (stopped / "star/05.png").unlink()
    if way == "repair":
        save(picture(105), stopped / "star/05.png")
    options = SKIP if way == "skip" else SMALL
    kept: list[bytes] = []
    real = engine.check_resumed

    def check_and_keep(writer: Any, *arguments: Any) -> None:
        real(writer, *arguments)
        kept.append((tmp_path / "out/.shapes.partial/.journal.jsonl").read_bytes())

    with monkeypatch.context() as patch:
        patch.setattr(engine, "check_resumed", check_and_keep)
        converted = convert(stopped, tmp_path / "out", options)
    assert kept == [begun]
    assert begun.count(b"\n") == 4  # what is built, and three batches
    fresh = convert(stopped, tmp_path / "fresh", options)
    assert tree(converted.folder) == tree(fresh.folder)


def test_splits_of_another_seed_are_drawn_when_it_goes_on(stopped: Path, tmp_path: Path) -> None:
    save(picture(105), stopped / "star/05.png")
    options = replace(SMALL, seed=7)
    converted = convert(stopped, tmp_path / "out", options)
    assert tree(converted.folder) == tree(convert(stopped, tmp_path / "fresh", options).folder)


def test_files_that_appeared_and_vanished_are_named(stopped: Path, tmp_path: Path) -> None:
    (stopped / "disc/03.png").rename(stopped / "disc/03b.png")
    with pytest.raises(WriteError) as caught:
        convert(stopped, tmp_path / "out")
    assert "1 vanished: disc/03.png; 1 appeared: disc/03b.png. Undo the change, or" in str(
        caught.value
    )
    (stopped / "disc/03b.png").rename(stopped / "disc/03.png")
    damage(stopped / "disc/02.png")
    with pytest.raises(WriteError, match=r"1 vanished: disc/02\.png \(unreadable\)\."):
        convert(stopped, tmp_path / "out", SKIP)
    assert convert(stopped, tmp_path / "out", replace(SKIP, resume=False)).written == 18


def test_files_that_changed_are_all_named(stopped: Path, tmp_path: Path) -> None:
    for name in ("disc/02.png", "star/01.png"):
        save(picture(222, size=20), stopped / name)
    with pytest.raises(
        WriteError, match=r"size or time of the file of disc/02\.png, star/01\.png differs"
    ):
        convert(stopped, tmp_path / "out")


def test_subjects_and_classes_that_changed_are_named(stopped: Path, tmp_path: Path) -> None:
    (stopped / "star/05.png").unlink()
    with pytest.raises(WriteError, match=r"the subject of disc/00\.png, .* differs"):
        convert(stopped, tmp_path / "out", subject=r"(\d+)\.png")
    with pytest.raises(WriteError, match=r"tasks\.class\.labels\.0 was 'disc' and is 'star'"):
        convert(stopped, tmp_path / "out", labels=["star", "disc"])
    save(picture(7), stopped / "moon/00.png")
    with pytest.raises(WriteError, match=r"labels\.1 was 'star' and is 'moon'"):
        convert(stopped, tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": 16}, r"size \(--size\) was 8 and is 16"),
        ({"fit": "pad"}, r"fit \(--fit\) was 'crop' and is 'pad'"),
        ({"channels": 3}, r"channels \(--channels\) was 1 and is 3"),
        ({"background": "black"}, r"background \(--background\) was 'white' and is 'black'"),
    ],
)
def test_options_that_changed_are_named(
    stopped: Path, tmp_path: Path, change: dict[str, Any], words: str
) -> None:
    with pytest.raises(WriteError, match=f"{words}. Finish .*--restart"):
        convert(stopped, tmp_path / "out", replace(SMALL, **change))


def test_other_descriptions_are_named(stopped: Path, tmp_path: Path) -> None:
    with pytest.raises(WriteError, match=r"license was 'CC0' and is 'CC BY 4\.0'"):
        image_folder(
            stopped,
            tmp_path / "out",
            About(id="shapes", domain="Drawings", name="Shapes", license="CC BY 4.0"),
            options=SMALL,
        )
