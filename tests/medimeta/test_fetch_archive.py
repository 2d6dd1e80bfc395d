"""Archives are read as data: what is in them comes out, and what would harm does not get in."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from pathlib import Path

import pytest

from medimeta_adapter.fetch.archive import open_archive
from tests.medimeta.fetch_cases import tarball, wheel, zip_of_a_later_version
from torchcross.errors import FetchError

MEMBERS = {"b/two.txt": b"two", "a/one.txt": b"one", "a/more.bin": bytes(5000)}


def refuse(path: Path, said: str, **limits: int) -> None:
    with pytest.raises(FetchError, match=said), open_archive(path, **limits):
        pass


@pytest.mark.parametrize("name", ["x.whl", "x.zip", "x.tgz", "x.tar.gz"])
def test_members_are_listed_and_read_in_any_order(tmp_path: Path, name: str) -> None:
    make = wheel if name.endswith(("whl", "zip")) else tarball
    with open_archive(make(tmp_path / name, MEMBERS)) as archive:
        assert archive.under("a/") == ["a/more.bin", "a/one.txt"]
        assert archive.under("", ending=".txt") == ["a/one.txt", "b/two.txt"]
        assert [archive.read(member) for member in ("a/one.txt", "b/two.txt", "a/one.txt")] == [
            b"one",
            b"two",
            b"one",
        ]
        with pytest.raises(FetchError, match="holds no 'c'"):
            archive.read("c")
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("member", ["../up", "a/../../up", "/etc/passwd", "C:/x", "a\\b"])
@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_names_that_leave_the_folder(tmp_path: Path, kind: str, member: str) -> None:
    make = wheel if kind == "zip" else tarball
    refuse(make(tmp_path / f"x.{kind}", {member: b""}), "would leave its folder")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("a")
    entry.type, entry.linkname = kind, "b"
    with tarfile.open(tmp_path / "x.tgz", "w:gz") as file:
        file.addfile(entry)
    refuse(tmp_path / "x.tgz", "a link or device")


def test_links_in_a_zip(tmp_path: Path) -> None:
    entry = zipfile.ZipInfo("a")
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as file:
        file.writestr(entry, "b")
    refuse(tmp_path / "x.whl", "a link or device")


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_bombs(tmp_path: Path, kind: str) -> None:
    make = wheel if kind == "zip" else tarball
    path = make(tmp_path / f"x.{kind}", {"a": bytes(200_000), "b": bytes(200_000)})
    refuse(path, "more than 300,000 bytes", most_bytes=300_000)


def test_a_bomb_that_is_no_tar(tmp_path: Path) -> None:
    (tmp_path / "x.tgz").write_bytes(gzip.compress(bytes(4 << 20)))
    refuse(tmp_path / "x.tgz", "unpacks to more than 300,000 bytes", most_bytes=300_000)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as file:
        file.writestr("a", "1")
        file.writestr("a", "2")
    refuse(tmp_path / "x.whl", "'a' twice")


@pytest.mark.parametrize("name", ["x.whl", "x.tgz"])
def test_torn_archives(tmp_path: Path, name: str) -> None:
    whole = (wheel if name.endswith("whl") else tarball)(
        tmp_path / f"whole-{name}", MEMBERS
    ).read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"nonsense" * 100):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(FetchError), open_archive(tmp_path / name) as archive:
            archive.read("a/one.txt")


def test_a_zip_of_a_later_version(tmp_path: Path) -> None:
    later = zip_of_a_later_version(wheel(tmp_path / "x.whl", {"a": b"1"}))
    refuse(later, r"not a complete archive \(zip file version 9")


def test_a_member_that_is_damaged(tmp_path: Path) -> None:
    path = wheel(tmp_path / "x.whl", {"a": b"0123456789"})
    path.write_bytes(path.read_bytes().replace(b"0123456789", b"0123456780"))
    with (
        pytest.raises(FetchError, match=r"'a' in x.whl cannot be read"),
        open_archive(path) as archive,
    ):
        archive.read("a")


def test_a_sparse_tar(tmp_path: Path) -> None:
    entry = tarfile.TarInfo("a")
    entry.type = tarfile.GNUTYPE_SPARSE
    buffer = io.BytesIO(entry.tobuf(tarfile.GNU_FORMAT) + bytes(1024))
    (tmp_path / "x.tgz").write_bytes(gzip.compress(buffer.getvalue()))
    refuse(tmp_path / "x.tgz", "a link or device")


def test_other_endings(tmp_path: Path) -> None:
    (tmp_path / "x.rar").write_bytes(b"")
    refuse(tmp_path / "x.rar", "neither a wheel")
