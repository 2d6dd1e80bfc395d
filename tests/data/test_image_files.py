"""Which files below a folder are its images: links, hidden files, and what is in the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from PIL import Image

import torchcross as tx
from torchcross.data.sources.image_files import ImageFiles, is_hidden, list_image_files
from torchcross.errors import ReadError, SourceError


def write(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"no image, and nobody looks")
    return root


def test_files_stand_before_folders_and_both_are_sorted(tmp_path: Path) -> None:
    write(tmp_path, "b/2.PNG", "b/1.jpg", "a/z/0.tif", "a/y.bmp", "a/notes.txt", "list.csv")
    (tmp_path / "c/empty").mkdir(parents=True)
    listing = list_image_files(tmp_path)
    assert listing.images == ("a/y.bmp", "a/z/0.tif", "b/1.jpg", "b/2.PNG")
    assert listing.others == ("list.csv", "a/notes.txt")
    assert listing.folders == ("a", "b", "c", "a/z", "c/empty")
    assert listing.folders_without_images == ("c",)


@pytest.mark.parametrize(
    "name",
    [".git", ".ipynb_checkpoints", "__MACOSX", "__macosx", ".DS_Store", "Thumbs.db", "._a.png"],
)
def test_names_that_are_hidden(tmp_path: Path, name: str) -> None:
    write(tmp_path, "a/1.png", f"{name}/a/1.png", f"a/{name}")
    assert is_hidden(name)
    listing = list_image_files(tmp_path)
    assert listing.images == ("a/1.png",)
    assert sorted(listing.hidden) == sorted((f"{name}/", f"a/{name}"))
    assert listing.others == ()


def test_links_that_stay_inside_are_followed(tmp_path: Path) -> None:
    write(tmp_path / "in", "a/1.png", "store/b/2.png")
    (tmp_path / "in/b").symlink_to("store/b", target_is_directory=True)
    (tmp_path / "in/a/3.png").symlink_to("../store/b/2.png")
    (tmp_path / "way").symlink_to("in", target_is_directory=True)
    for root in (tmp_path / "in", tmp_path / "way"):
        images = list_image_files(root).images
        assert images == ("a/1.png", "a/3.png", "b/2.png", "store/b/2.png")


def test_every_link_that_leaves_is_named_and_all_can_be_followed(tmp_path: Path) -> None:
    write(tmp_path, "in/a/1.png", "out/b/2.png", "out/notes.txt")
    (tmp_path / "in/b").symlink_to(tmp_path / "out/b", target_is_directory=True)
    (tmp_path / "in/a/2.png").symlink_to(tmp_path / "out/b/2.png")
    (tmp_path / "in/a/notes.txt").symlink_to(tmp_path / "out/notes.txt")
    with pytest.raises(SourceError, match=r"2 entries .*--follow-links") as caught:
        list_image_files(tmp_path / "in")
    assert all(
        f"\n  {name} is a link that leaves" in str(caught.value) for name in ("b", "a/2.png")
    )
    listing = list_image_files(tmp_path / "in", follow_links=True)
    assert listing.images == ("a/1.png", "a/2.png", "b/2.png")
    assert listing.others == ("a/notes.txt",)


@pytest.mark.parametrize("follow_links", [False, True])
def test_links_in_a_circle_or_to_nowhere_are_named(tmp_path: Path, follow_links: bool) -> None:
    write(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "a/b").symlink_to("../b", target_is_directory=True)
    (tmp_path / "b/a").symlink_to("../a", target_is_directory=True)
    (tmp_path / "b/self").symlink_to("self")
    (tmp_path / "c").symlink_to("vanished", target_is_directory=True)
    (tmp_path / "d").symlink_to("/nowhere/at all")
    (tmp_path / "a/vanished.png").symlink_to("vanished")
    (tmp_path / "a/outside.png").symlink_to("/nowhere/1.png")
    with pytest.raises(SourceError) as caught:
        list_image_files(tmp_path, follow_links=follow_links)
    text = str(caught.value)
    assert "a/b/a is a link to a folder that holds it" in text
    assert "b/a/b is a link to a folder that holds it" in text
    assert "c is a link that leads nowhere" in text
    assert "b/self is a link that leads nowhere" in text
    assert "d is a link that leads nowhere, to /nowhere/at all" in text
    assert "outside.png" not in text
    assert "vanished.png" not in text  # an image that cannot be read, as the readers say


def test_links_that_multiply_are_refused_in_time(tmp_path: Path) -> None:
    for depth in range(20):
        (tmp_path / f"{depth:02d}").mkdir()
        for way in "xy":
            (tmp_path / f"{depth:02d}" / way).symlink_to(f"../{depth + 1:02d}")
    write(tmp_path, "20/1.png")
    with pytest.raises(SourceError, match="1000 other ways"):
        list_image_files(tmp_path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_named_as_an_image_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png")
    os.mkfifo(tmp_path / "a/2.png")
    os.mkfifo(tmp_path / "a/log")
    with pytest.raises(SourceError, match=r"a/2\.png is named as an image, and is a pipe"):
        list_image_files(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_a_folder_that_cannot_be_listed_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "a/1.png", "b/2.png")
    (tmp_path / "b").chmod(0)
    try:
        with pytest.raises(SourceError, match="b cannot be listed"):
            list_image_files(tmp_path)
    finally:
        (tmp_path / "b").chmod(0o700)


def test_what_is_passed_over_is_said_in_short() -> None:
    listing = ImageFiles((), tuple(f"{n}.txt" for n in range(12)), (), ("a/.git/", ".DS_Store"))
    assert listing.describe_passed_over() == (
        "12 files without the ending of an image: "
        + ", ".join(f"{n}.txt" for n in range(10))
        + " and 2 more; 1 hidden: a/.git/"
    )


# -- the source ------------------------------------------------------------------------------------


def test_one_file_that_is_passed_over_is_one_file() -> None:
    listing = ImageFiles((), ("a.txt",), (), (".git/",))
    said = "1 file without the ending of an image: a.txt; 1 hidden: .git/"
    assert listing.describe_passed_over() == said


def test_one_class_folder_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    Image.new("L", (4, 4)).save(tmp_path / "only" / "a.png")
    with pytest.raises(SourceError, match=r"has one class folder, 'only', and classes are two"):
        tx.ImageFolderSource(tmp_path)


@pytest.mark.parametrize("name", ["text", "cut"])
def test_a_file_that_is_no_image_or_damaged_says_what_to_do(tmp_path: Path, name: str) -> None:
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        Image.effect_noise((64, 64), 9).save(tmp_path / folder / "a.png")
    path = tmp_path / "one" / "a.png"
    path.write_bytes(b"my notes" if name == "text" else path.read_bytes()[:900])
    with pytest.raises(ReadError, match="repair it, or take it out of the folder") as caught:
        tx.ImageFolderSource(tmp_path).read([0])
    assert str(caught.value).count(str(path)) == 1
    source = tx.ImageFolderSource(tmp_path)
    path.unlink()
    with pytest.raises(ReadError, match="No such file") as caught:
        source.read([0])
    assert "repair" not in str(caught.value)


def test_the_source_follows_the_rule(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tmp_path / "in", "disc/1.png", "disc/__MACOSX/9.png", ".git/8.png", "disc/notes.txt")
    write(tmp_path / "out", "star/2.png")
    (tmp_path / "in/star").symlink_to(tmp_path / "out/star", target_is_directory=True)
    with pytest.raises(SourceError, match=r"in.star is a link that leaves the folder"):
        tx.ImageFolderSource(tmp_path / "in")
    source = tx.ImageFolderSource(tmp_path / "in", follow_links=True)
    assert source.task.target.classes == ("disc", "star")
    assert source.paths == (tmp_path / "in/disc/1.png", tmp_path / "in/star/2.png")
    assert source.passed_over == ("disc/notes.txt", ".git/", "disc/__MACOSX/")
    assert "disc/notes.txt; 2 hidden: .git/, disc/__MACOSX/" in caplog.text


def test_an_image_in_no_class_folder_is_an_error_of_the_source(tmp_path: Path) -> None:
    write(tmp_path, "disc/1.png", "2.png")
    with pytest.raises(SourceError, match=r"images in no class folder: 2\.png"):
        tx.ImageFolderSource(tmp_path)


def test_the_task_has_the_name_of_the_folder_also_from_within(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write(tmp_path / "shapes", "disc/1.png", "star/2.png"))
    assert tx.ImageFolderSource(".").task.name == "shapes"
