"""Zips of datasets: what is unpacked, and what is refused."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from medimeta_adapter.fetch.unpacking import unpack_dataset
from torchcross.errors import FetchError

INFO = b"id: x\n"


def packed(path: Path, members: dict[str, bytes], **options: int) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def unpack(path: Path, folder: Path, *, most_bytes: int = 10**6, most_members: int = 100) -> None:
    folder.mkdir()
    unpack_dataset(path, folder, most_bytes=most_bytes, most_members=most_members)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("root", ["", "oct/", "MedIMeta/oct/"])
def test_the_dataset_is_where_its_description_is(tmp_path: Path, root: str) -> None:
    members = {
        f"{root}info.yaml": INFO,
        f"{root}splits/train.txt": b"a",
        f"{root}images": b"b",
    }
    junk = {f"__MACOSX/{root}._info.yaml": b"m", f"{root}.DS_Store": b"m"}
    unpack(packed(tmp_path / "x.zip", members | junk), tmp_path / "out")
    assert files_of(tmp_path / "out") == {
        "info.yaml": INFO,
        "splits/train.txt": b"a",
        "images": b"b",
    }


def test_progress_is_in_bytes(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    path = packed(tmp_path / "x.zip", {"info.yaml": INFO, "a": b"x" * 100})
    (tmp_path / "out").mkdir()
    unpack_dataset(
        path,
        tmp_path / "out",
        most_bytes=1000,
        most_members=2,
        progress=lambda *at: seen.append(at),
    )
    assert seen == [(6, 106), (106, 106)]


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"info.yaml": INFO, "../evil": b""}, "would leave its folder"),
        ({"info.yaml": INFO, "/evil": b""}, "would leave its folder"),
        ({"info.yaml": INFO, "a\\..\\evil": b""}, "would leave its folder"),
        ({"info.yaml": INFO, "C:/evil": b""}, "would leave its folder"),
        ({"a/info.yaml": INFO, "b/info.yaml": INFO}, r"several datasets \(a, b\)"),
        ({"readme": b""}, "holds no info.yaml"),
        ({"info.yaml": INFO, "a": b"file", "a/b": b"in it"}, "takes for the same"),
        ({"info.yaml": INFO, **{f"{n}": b"" for n in range(100)}}, "more than .* files"),
        ({"info.yaml": INFO, "bomb": bytes(10**6)}, "announces more than 1,000,000 bytes"),
    ],
)
def test_hostile_zips(tmp_path: Path, members: dict[str, bytes], message: str) -> None:
    with pytest.raises(FetchError, match=message):
        unpack(packed(tmp_path / "x.zip", members), tmp_path / "out")
    assert {path.name for path in tmp_path.iterdir()} == {"x.zip", "out"}


def link(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("info.yaml", INFO)
        entry = zipfile.ZipInfo("out")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        file.writestr(entry, "/etc")
    return buffer.getvalue()


def cut(data: bytes) -> bytes:
    return data[: len(data) // 2]


def flipped(data: bytes) -> bytes:
    """A bit of the first member's content."""
    at = data.index(b"id: x")
    return data[:at] + b"I" + data[at + 1 :]


def claims_less(data: bytes) -> bytes:
    """A size in both headers that is smaller than the content."""
    size = (6).to_bytes(4, "little")
    return data.replace(size, (3).to_bytes(4, "little"))


@pytest.mark.parametrize(
    "change", [link, cut, flipped, claims_less], ids=lambda change: change.__name__
)
def test_damaged_zips(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as file:
        file.writestr("info.yaml", INFO)
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(FetchError):
        unpack(path, tmp_path / "out")
