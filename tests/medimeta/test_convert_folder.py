"""Image folders: classes, splits, subjects, and what stands where it should not."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medimeta_adapter import MedIMeta
from medimeta_adapter.convert import About, engine, image_folder
from medimeta_adapter.preprocess import ScaleByBits
from tests.medimeta.convert_cases import ABOUT, DEEP, SMALL, Written, picture, save, split_counts
from torchcross.data import ImageFolderSource
from torchcross.errors import InputError, ReadError, SourceError, WriteError


def flat(root: Path, count: int = 10) -> Path:
    for place, shape in enumerate(("disc", "star")):
        for n in range(count):
            save(picture(place * 100 + n), root / shape / f"{n:02d}.png")
    return root


def test_a_folder_per_class(tmp_path: Path) -> None:
    converted = image_folder(flat(tmp_path / "in"), tmp_path / "out", ABOUT, options=SMALL)
    written = Written(converted)
    assert converted.written == converted.given == 20
    assert written.names("class") == {0: "disc", 1: "star"}
    assert written.labels("class") == [0] * 10 + [1] * 10
    assert written.numbers() == [*range(10), *range(100, 110)]
    assert written.info["input_size"] == [1, 8, 8]
    assert written.info["domain"] == "Drawings"
    assert split_counts(written.splits()) == {"train": 14, "val": 2, "test": 4}
    assert written.column("original_filepath")[0] == "disc/00.png"


def test_the_reader_reads_it(tmp_path: Path) -> None:
    image_folder(flat(tmp_path / "in"), tmp_path / "out", ABOUT, options=SMALL)
    source = MedIMeta(tmp_path / "out").source("shapes", "class")
    assert len(source) == 20
    assert source.images(np.array([13])).flatten().tolist() == [103] * 64


def test_train_and_test_folders_are_the_original_splits(tmp_path: Path) -> None:
    flat(tmp_path / "in" / "training")
    flat(tmp_path / "in" / "test", 3)
    written = Written(image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL))
    assert split_counts(written.splits("original_splits")) == {"train": 20, "val": 0, "test": 6}
    assert written.split("test") == written.split("test", "original_splits")
    assert 0 < len(written.split("val")) < 6
    assert written.info["original_splits_num_samples"] == {"train": 20, "val": 0, "test": 6}


def test_new_splits_pool_the_original_ones(tmp_path: Path) -> None:
    flat(tmp_path / "in" / "train")
    flat(tmp_path / "in" / "test")
    options = replace(SMALL, splits="new", fractions=(0.5, 0.25, 0.25))
    written = Written(image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=options))
    assert split_counts(written.splits()) == {"train": 20, "val": 10, "test": 10}
    assert written.split("test") != written.split("test", "original_splits")


def test_subjects_stay_together(tmp_path: Path) -> None:
    for n in range(60):
        save(picture(n), tmp_path / "in" / ("disc", "star")[n % 2] / f"p{n // 4}_{n}.png")
    written = Written(
        image_folder(tmp_path / "in", tmp_path / "out", ABOUT, subject=r"/(p\d+)_", options=SMALL)
    )
    where: dict[str, set[str]] = {}
    for subject, split in zip(written.column("patient_id"), written.splits(), strict=True):
        where.setdefault(subject, set()).add(split)
    assert len(where) == 15
    assert all(len(splits) == 1 for splits in where.values())


def test_images_without_a_subject_name_nobody(tmp_path: Path) -> None:
    flat(tmp_path / "in")
    save(picture(7), tmp_path / "in" / "disc" / "p1.png")
    written = Written(
        image_folder(tmp_path / "in", tmp_path / "out", ABOUT, subject=r"(p1)\.", options=SMALL)
    )
    assert sorted(written.column("patient_id")) == [""] * 20 + ["p1"]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [("(", "not a regular expression"), ("p1", "no group"), (r"(q\d)", "none of 20 paths")],
)
def test_wrong_subject_patterns(tmp_path: Path, pattern: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        image_folder(flat(tmp_path / "in"), tmp_path / "out", ABOUT, subject=pattern, options=SMALL)


def test_class_names_in_an_order_of_ones_own(tmp_path: Path) -> None:
    source = flat(tmp_path / "in")
    converted = image_folder(
        source,
        tmp_path / "out",
        ABOUT,
        task="grade",
        target="ordinal",
        labels={1: "star", 4: "disc"},
        options=SMALL,
    )
    written = Written(converted)
    assert written.target("grade") == "ORDINAL_REGRESSION"
    assert written.labels("grade") == [4] * 10 + [1] * 10
    with pytest.raises(InputError, match=r"'disc'.*the labels are 'star', 'moon'"):
        image_folder(source, tmp_path / "other", ABOUT, labels=["star", "moon"], options=SMALL)
    with pytest.raises(InputError, match="order is unknown"):
        image_folder(source, tmp_path / "other", ABOUT, target="ordinal", options=SMALL)


def test_a_folder_that_is_no_split_beside_splits(tmp_path: Path) -> None:
    for name in ("train", "holdout"):
        flat(tmp_path / "in" / name, 3)
    with pytest.raises(
        InputError, match=r"folders of splits \(train\) and others \(holdout\)"
    ) as no:
        image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL)
    assert "--nested" not in str(no.value)
    assert "a name of a split (dev, test" in str(no.value)
    (tmp_path / "in" / "holdout").rename(tmp_path / "in" / "dev")
    written = Written(image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL))
    assert split_counts(written.splits("original_splits")) == {"train": 6, "val": 6, "test": 0}


def test_folders_that_are_the_same_split_are_said(tmp_path: Path) -> None:
    for name in ("train", "training", "test"):
        flat(tmp_path / "in" / name, 3)
    converted = image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL)
    assert converted.notes == (
        f"note: {tmp_path / 'in'}: train, training are all read as the split train",
    )
    assert converted.notes[0] in converted.describe()


def test_a_class_with_the_name_of_a_split_is_said(tmp_path: Path) -> None:
    for name in ("test", "control"):
        save(picture(1), tmp_path / "in" / name / "deep" / "a.png")
    options = replace(SMALL, fractions=(1, 0, 0))
    converted = image_folder(tmp_path / "in", tmp_path / "out", ABOUT, nested=True, options=options)
    assert "test became a class and no split" in converted.describe()


def test_nested_folders_are_asked_for(tmp_path: Path) -> None:
    flat(tmp_path / "in")
    save(picture(50), tmp_path / "in" / "disc" / "more" / "x.png")
    with pytest.raises(InputError, match="nested=True"):
        image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL)
    written = Written(
        image_folder(tmp_path / "in", tmp_path / "out", ABOUT, nested=True, options=SMALL)
    )
    assert written.labels("class")[written.numbers().index(50)] == 0


def test_what_is_no_image_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a folder"):
        image_folder(tmp_path / "none", tmp_path / "out", ABOUT)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images"):
        image_folder(tmp_path / "empty", tmp_path / "out", ABOUT)
    save(picture(1), tmp_path / "loose" / "a.png")
    with pytest.raises(InputError, match="no class folder"):
        image_folder(tmp_path / "loose", tmp_path / "out", ABOUT)


def test_links_out_of_the_folder_are_refused(tmp_path: Path) -> None:
    flat(tmp_path / "in")
    outside = save(picture(1), tmp_path / "secret.png")
    (tmp_path / "in" / "disc" / "link.png").symlink_to(outside)
    with pytest.raises(InputError, match=r"link\.png is a link that leaves"):
        image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL)


def test_links_and_hidden_folders_are_those_of_the_source(tmp_path: Path) -> None:
    """A linked class, a linked split, and folders that programs make."""
    root = tmp_path / "in"
    flat(root / "train")
    flat(tmp_path / "elsewhere" / "test", 3)
    for hidden in (".ipynb_checkpoints", "__MACOSX", "train/.git", "train/disc/__MACOSX"):
        save(picture(99), root / hidden / "disc" / "9.png")
    (root / "train" / "moon").symlink_to("star", target_is_directory=True)
    (root / "test").symlink_to(tmp_path / "elsewhere" / "test", target_is_directory=True)
    with pytest.raises(InputError, match=r"in.test is a link that leaves.*--follow-links"):
        image_folder(root, tmp_path / "out", ABOUT, options=SMALL)
    with pytest.raises(SourceError, match=r"in.test is a link that leaves.*follow_links=True"):
        ImageFolderSource(root)
    converted = image_folder(root, tmp_path / "out", ABOUT, follow_links=True, options=SMALL)
    assert "4 hidden" in str(converted)
    written = Written(converted)
    assert written.names("class") == {0: "disc", 1: "moon", 2: "star"}
    assert split_counts(written.splits("original_splits")) == {"train": 30, "val": 0, "test": 6}
    source = ImageFolderSource(root / "train")
    files = [f"train/{path.relative_to(root / 'train').as_posix()}" for path in source.paths]
    assert files == [name for name in written.column("original_filepath") if "test" not in name]


def test_all_unreadable_images_are_named_and_mending_them_is_enough(tmp_path: Path) -> None:
    flat(tmp_path / "in")
    bad = [tmp_path / "in" / "disc" / "03.png", tmp_path / "in" / "star" / "09.png"]
    for path in bad:
        path.write_bytes(b"no image")
    with pytest.raises(ReadError, match="2 of 20 images") as caught:
        image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL)
    assert "disc/03.png" in str(caught.value)
    assert "star/09.png" in str(caught.value)
    assert not (tmp_path / "out" / "shapes").exists()
    save(picture(3), bad[0])
    save(picture(109), bad[1])
    assert (
        Written(image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL)).numbers()[3]
        == 3
    )


@pytest.fixture
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_LARGEST_BATCH", 4)


@pytest.mark.usefixtures("_small_batches")
def test_mending_an_image_is_enough_and_changing_a_written_one_is_not(tmp_path: Path) -> None:
    flat(tmp_path / "in")
    bad, good = tmp_path / "in" / "star" / "09.png", tmp_path / "in" / "disc" / "02.png"
    kept = bad.read_bytes()
    bad.write_bytes(b"no image")
    with pytest.raises(ReadError, match=r"1 of 20 images"):
        image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL)
    bad.write_bytes(kept)
    time, content = good.stat().st_mtime_ns, good.read_bytes()
    save(picture(222), good)
    with pytest.raises(
        WriteError,
        match=r"folder in has changed .*size or time of the file of disc/02\.png differs\. Undo",
    ):
        image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL)
    good.write_bytes(content)
    os.utime(good, ns=(time, time))
    assert (
        Written(image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL)).numbers()[2]
        == 2
    )


@pytest.mark.parametrize("name", list(DEEP))
def test_colours_of_sixteen_bits_are_refused(tmp_path: Path, name: str) -> None:
    flat(tmp_path / "in")
    (tmp_path / "in" / "disc" / "deep.png").write_bytes(DEEP[name])
    for depth in (None, ScaleByBits(12)):
        with pytest.raises(
            ReadError, match=r"disc/deep\.png: InputError: it has more than 8 bits per channel"
        ):
            image_folder(
                tmp_path / "in", tmp_path / "out", ABOUT, options=replace(SMALL, depth=depth)
            )


def test_grey_of_sixteen_bits_needs_its_bits_and_is_not_called_unreadable(tmp_path: Path) -> None:
    flat(tmp_path / "in")
    deep = np.linspace(0, 4000, 64).astype(np.uint16).reshape(8, 8)
    for name in ("x", "y"):
        Image.fromarray(deep).save(tmp_path / "in" / "disc" / f"{name}.png")
    count = sum(1 for path in (tmp_path / "in").rglob("*.*") if path.is_file())

    def message() -> str:
        with pytest.raises(ReadError) as caught:
            image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL)
        return str(caught.value)

    assert message().startswith(
        f"2 of {count} images of image folder in ({tmp_path / 'in'}) have more than 8 bits, and"
        " nobody said how to scale them; their greatest value is 4000: give depth=ScaleByBits(12)"
        " (--bits 12), or more bits"
    )
    assert message().endswith(":\n  disc/x.png, disc/y.png")
    (tmp_path / "in" / "disc" / "z.png").write_bytes(b"none")
    first, second = message().split("\n  disc/x.png, disc/y.png\n")
    assert first.startswith("2 of ")
    assert second.startswith("1 of ")
    assert "cannot be read; repair them, or leave them out with skip_unreadable=True" in second
    assert "disc/z.png: InputError: it is not an image" in second


def test_values_that_no_bits_hold_need_a_window(tmp_path: Path) -> None:
    for name in ("disc", "star"):
        (tmp_path / "in" / name).mkdir(parents=True)
        values = np.linspace(-1000, 1000, 64).astype(np.int32).reshape(8, 8)
        for place in range(4):
            Image.fromarray(values).save(tmp_path / "in" / name / f"{place}.tiff")
    with pytest.raises(ReadError, match=r"values are in -1000\.\.1000: give depth=Window\(LEVEL"):
        image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL)


def test_a_name_that_is_no_unicode_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flat(tmp_path / "in")
    save(picture(1), tmp_path / "in" / "disc" / "x.png").rename(
        tmp_path / "in" / "disc" / "x\udcff.png"
    )
    with pytest.raises(InputError, match=r"'disc/x\\udcff\.png' is not Unicode text.*; rename it"):
        image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL)
    monkeypatch.setattr("sys.getfilesystemencoding", lambda: "ascii")
    with pytest.raises(InputError, match="set the environment variable PYTHONUTF8=1, or rename"):
        image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL)


def test_subjects_that_name_nobody(tmp_path: Path) -> None:
    for n in range(20):
        save(
            picture(n),
            tmp_path / "in" / ("disc", "star")[n % 2] / f"{'NA' if n < 5 else 'p'}-{n}.png",
        )
    written = Written(
        image_folder(tmp_path / "in", tmp_path / "out", ABOUT, subject=r"/(\w+)-", options=SMALL)
    )
    assert sorted(written.column("patient_id")) == [""] * 5 + ["p"] * 15


def test_other_files_are_counted_and_volumes_refused(tmp_path: Path) -> None:
    flat(tmp_path / "in")
    (tmp_path / "in" / "disc" / "notes.txt").write_text("x")
    (tmp_path / "in" / "disc" / ".hidden").write_text("x")
    converted = image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL)
    assert converted.passed_over == 1
    assert "1 other files passed over" in str(converted)
    pages = [picture(n) for n in range(3)]
    pages[0].save(tmp_path / "in" / "disc" / "volume.tiff", save_all=True, append_images=pages[1:])
    with pytest.raises(ReadError, match=r"disc/volume\.tiff: InputError: it holds 3 pictures"):
        image_folder(tmp_path / "in", tmp_path / "other", ABOUT, options=SMALL)


def test_colours(tmp_path: Path) -> None:
    flat(tmp_path / "in")
    save(picture(77, mode="RGB"), tmp_path / "in" / "star" / "colour.png")
    found = Written(image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL))
    assert found.images.shape == (21, 8, 8, 3)
    assert found.images[-1, 0, 0].tolist() == [77, 178, 38]
    grey = About(id="grey", domain="Drawings")
    options = replace(SMALL, channels=1)
    assert (
        Written(image_folder(tmp_path / "in", tmp_path / "out", grey, options=options)).images.ndim
        == 3
    )


def test_a_colour_image_among_grey_ones_that_were_not_looked_at(tmp_path: Path) -> None:
    flat(tmp_path / "in", 100)
    save(picture(77, mode="RGB"), tmp_path / "in" / "disc" / "01.png")
    with pytest.raises(ReadError, match=r"disc/01\.png: InputError: it has colours"):
        image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=SMALL)


def test_palettes_and_bits(tmp_path: Path) -> None:
    save(picture(200).convert("1", dither=Image.Dither.NONE), tmp_path / "in" / "a" / "0.png")
    save(picture(90), tmp_path / "in" / "b" / "0.png")
    options = replace(SMALL, fractions=(1, 0, 0))
    assert Written(
        image_folder(tmp_path / "in", tmp_path / "out", ABOUT, options=options)
    ).numbers() == [255, 90]
