"""The published datasets, from a server on this machine that answers as the record's API does."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from medimeta_adapter import MedIMeta
from medimeta_adapter.fetch import FetchReport, published_data, read_published
from tests.medimeta.make import write_dataset
from tests.medimeta.record_server import NEWEST, RecordServer, serve_record
from torchcross.errors import FetchError, InputError

pytest.importorskip("pooch")


def zipped(folder: Path, prefix: str = "") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                file.write(path, f"{prefix}{path.relative_to(folder).as_posix()}")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    root = tmp_path_factory.mktemp("published")
    oct_folder = write_dataset(root, "oct", count=40, tiffs=True, license="CC BY-SA 4.0")
    derm = write_dataset(root, "derm", channels=3)
    extra = write_dataset(root, "extra")
    (extra / "LICENSE").write_text("x" * 100_000)
    return {
        # A folder in one zip, none in the other; a Mac's extra files.
        "oct.zip": zipped(oct_folder, "oct/"),
        "derm.zip": zipped(derm),
        "extra.zip": zipped(extra, "extra/"),
        "README.md": b"about",
    }


@pytest.fixture
def server(archives: dict[str, bytes]) -> Iterator[RecordServer]:
    with serve_record(archives) as state:
        yield state


WAITS: list[float] = []


@pytest.fixture(autouse=True)
def _no_waits() -> None:
    WAITS.clear()


def fetch(server: RecordServer, out: Path, *only: str, **options: Any) -> FetchReport:
    ids = only or None
    published = read_published(out, only=ids, server=server.address, wait=WAITS.append)
    return published.fetch(ids, **options)


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def test_what_there_is_before_anything_is_fetched(server: RecordServer, tmp_path: Path) -> None:
    published = read_published(tmp_path / "out", server=server.address)
    record = published.record
    assert (record.id, record.doi) == (NEWEST, f"10.5281/zenodo.{NEWEST}")
    assert (record.version, record.license) == ("1.2", "cc-by-nc-sa-4.0")
    datasets = {dataset.id: dataset for dataset in published.datasets()}
    assert list(datasets) == ["oct", "derm"]
    assert datasets["oct"].file.size == len(server.files["oct.zip"])
    # 109,309 grey images of 224 x 224 pixels.
    assert datasets["oct"].pixels == datasets["oct"].images * 224 * 224
    assert datasets["oct"].license == "CC BY-SA 4.0"
    assert [dataset.id for dataset in published.datasets(["extra"])] == ["extra"]
    assert not (tmp_path / "out").exists()
    assert all(path.startswith("/api/") for path, _, _ in server.requests)


def test_datasets_are_fetched_checked_and_unpacked(server: RecordServer, tmp_path: Path) -> None:
    progress: list[tuple[str, int, int]] = []
    report = fetch(server, tmp_path, "oct", "derm", progress=lambda *at: progress.append(at))
    assert [outcome.state for outcome in report.outcomes] == ["made", "made"]
    assert "from 10.5281/zenodo.8000001, version 1.2 (licence: CC BY-SA 4.0)" in str(report)
    assert "(licence: CC0)" in str(report), "the dataset's own licence counts"
    meta = MedIMeta(tmp_path)
    assert list(meta) == ["derm", "oct"]
    assert len(meta.source("oct", split="all")) == 40
    assert {".downloads", "oct", "derm"} == {path.name for path in tmp_path.iterdir()}
    downloads = tmp_path / ".downloads"
    assert files_of(downloads) == ["derm.json", "oct.json", "record.json"]
    origin = json.loads((downloads / "oct.json").read_text())
    assert origin["checksum"] == f"md5:{hashlib.md5(server.files['oct.zip']).hexdigest()}"
    size = len(server.files["oct.zip"])
    assert ("oct", size, size) in progress
    assert progress[-1][0] == "derm, unpacking"
    assert progress[-1][1] == progress[-1][2]


def test_the_unfinished_build_of_a_writer_stays(server: RecordServer, tmp_path: Path) -> None:
    build = tmp_path / ".oct.partial"
    build.mkdir()
    (build / "images.hdf5").write_bytes(b"rows")
    fetch(server, tmp_path, "oct")
    fetch(server, tmp_path, "oct")
    assert (build / "images.hdf5").read_bytes() == b"rows"


def test_what_is_there_stays(server: RecordServer, tmp_path: Path) -> None:
    fetch(server, tmp_path, "derm")
    count = len(server.requests)
    report = fetch(server, tmp_path, "derm")
    assert report.outcomes[0].state == "present"
    assert all(path.startswith("/api/") for path, _, _ in server.requests[count:])
    (tmp_path / "derm" / "mine.txt").write_text("a note")
    report = fetch(server, tmp_path, "derm", overwrite=True, keep_archives=True)
    assert report.outcomes[0].state == "made"
    assert not (tmp_path / "derm" / "mine.txt").exists()
    kept = tmp_path / ".downloads" / "derm.zip"
    assert kept.read_bytes() == server.files["derm.zip"]
    count = len(server.ranges("derm.zip"))
    fetch(server, tmp_path, "derm", overwrite=True)
    assert len(server.ranges("derm.zip")) == count, "the archive that is there has the right hash"


def test_a_newer_version_is_named(server: RecordServer, tmp_path: Path, archives: Any) -> None:
    fetch(server, tmp_path, "derm")
    server.files["derm.zip"] = archives["extra.zip"]
    report = fetch(server, tmp_path, "derm")
    assert "already there, of another version; overwrite=True (--overwrite) replaces it" in str(
        report
    )


def test_a_wrong_checksum_is_refused_and_nothing_kept(server: RecordServer, tmp_path: Path) -> None:
    record = server.record()
    record["files"][0]["checksum"] = f"md5:{'0' * 32}"
    server.changes["files"] = record["files"]
    report = fetch(server, tmp_path, "oct", "derm")
    assert [outcome.state for outcome in report.outcomes] == ["failed", "made"]
    assert "came with another checksum than md5:000" in report.outcomes[0].reason
    assert not (tmp_path / "oct").exists()
    assert files_of(tmp_path / ".downloads") == ["derm.json", "record.json"]


def test_a_damaged_archive_is_fetched_again(server: RecordServer, tmp_path: Path) -> None:
    (tmp_path / ".downloads").mkdir()
    (tmp_path / ".downloads" / "derm.zip").write_bytes(b"half")
    (tmp_path / ".downloads" / "tmpabcd1234").write_bytes(b"of a process that was killed")
    assert not fetch(server, tmp_path, "derm").failures
    assert files_of(tmp_path / ".downloads") == ["derm.json", "record.json"]


def test_files_put_there_by_hand_need_no_server(server: RecordServer, tmp_path: Path) -> None:
    address = "http://127.0.0.1:9"
    with pytest.raises(FetchError) as caught:
        read_published(tmp_path, only=["oct"], server=address, wait=WAITS.append)
    message = str(caught.value)
    assert f"{address} cannot be reached" in message
    assert f"download {address}/api/records/7884735 as record.json" in message
    assert (
        f"{address}/records/7884735/files/ID.zip?download=1 as ID.zip for each ID of oct" in message
    )
    assert str(tmp_path / ".downloads") in message
    assert "https://doi.org/10.5281/zenodo.7884735" in message
    (tmp_path / ".downloads").mkdir()
    (tmp_path / ".downloads" / "record.json").write_text(json.dumps(server.record()))
    (tmp_path / ".downloads" / "oct.zip").write_bytes(server.files["oct.zip"])
    (tmp_path / ".downloads" / "derm.zip").write_bytes(b"damaged")
    published = read_published(tmp_path, server=address, wait=WAITS.append)
    assert not published.is_online
    report = published.fetch()
    assert [outcome.state for outcome in report.outcomes] == ["made", "failed"]
    reason = report.outcomes[1].reason
    assert f"put it at {tmp_path / '.downloads' / 'derm.zip'}" in reason
    assert "The derm.zip there has another checksum" in reason


def test_room_is_looked_at_first(
    server: RecordServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=10**9))
    with pytest.raises(FetchError, match=r"1,000,000,000 bytes free, and it takes 5,.* fetch oct"):
        fetch(server, tmp_path, "oct")
    assert server.ranges("oct.zip") == []
    # Less than the zip holds, although more than the catalogue says.
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=50_000))
    report = fetch(server, tmp_path, "extra")
    assert "bytes when it is unpacked" in report.outcomes[0].reason
    assert not (tmp_path / "extra").exists()


def test_how_much_room_several_take(server: RecordServer, tmp_path: Path) -> None:
    from medimeta_adapter.fetch.published_sizes import PublishedDataset, check_room

    published = read_published(tmp_path, server=server.address)
    one = PublishedDataset("a", published.datasets()[0].file, 0, "", 0)
    free = shutil.disk_usage(tmp_path).free
    size = free // 4
    big = PublishedDataset("a", one.file.__class__("a.zip", size, "", ""), 0, "", 0)
    # Each is unpacked to as much as it has, and its zip goes before the next one comes.
    check_room(tmp_path, [big, big], keep_archives=False)
    with pytest.raises(FetchError):
        check_room(tmp_path, [big, big, big, big], keep_archives=False)
    with pytest.raises(FetchError):
        check_room(tmp_path, [big, big, big], keep_archives=True)


@pytest.mark.parametrize(
    "changes",
    [
        {"files": [{"key": "../oct.zip", "size": 1, "checksum": f"md5:{'0' * 32}"}]},
        {"files": [{"key": "oct.zip", "size": -1, "checksum": f"md5:{'0' * 32}"}]},
        {"files": [{"key": "oct.zip", "size": True, "checksum": f"md5:{'0' * 32}"}]},
        {"files": [{"key": "oct.zip", "size": 1, "checksum": "crc:0"}]},
        {"files": [{"key": "oct.zip", "size": 1}]},
        {"files": "oct.zip"},
        {"files": None},
        {"id": "../../etc"},
    ],
)
def test_hostile_answers_are_refused(
    server: RecordServer, tmp_path: Path, changes: dict[str, Any]
) -> None:
    server.changes.update(changes)
    with pytest.raises(FetchError, match="says of the record cannot be read"):
        read_published(tmp_path, server=server.address)


def test_links_of_the_answer_are_not_followed(server: RecordServer, tmp_path: Path) -> None:
    """Each file of the record names another server in its links."""
    file = read_published(tmp_path, server=server.address).datasets()[0].file
    assert file.url == f"{server.address}/records/{NEWEST}/files/oct.zip?download=1"


def test_arguments(server: RecordServer, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no dataset 'octt'; did you mean 'oct'"):
        fetch(server, tmp_path, "octt")
    with pytest.raises(InputError, match=r"server='zenodo\.org' is no address"):
        read_published(tmp_path, server="zenodo.org")
    with pytest.raises(InputError, match=r"record='\.\./1' is no number"):
        read_published(tmp_path, server=server.address, record="../1")
    server.changes["files"] = []
    with pytest.raises(InputError, match="has no dataset of MedIMeta; it has no file"):
        fetch(server, tmp_path)
    with pytest.raises(FetchError, match="answers 404"):
        read_published(tmp_path, server=server.address, record="1")


def test_two_processes_keep_out_of_each_others_way(server: RecordServer, tmp_path: Path) -> None:
    from medimeta_adapter.fetch.client import keep_others_out

    (tmp_path / ".downloads").mkdir()
    with keep_others_out(tmp_path / ".downloads"):
        report = fetch(server, tmp_path, "derm")
    assert "is being written by another process" in report.outcomes[0].reason
    assert not fetch(server, tmp_path, "derm").failures


def test_poochs_messages_are_its_own(
    server: RecordServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import pooch

    level = pooch.get_logger().level
    fetch(server, tmp_path, "derm")
    assert pooch.get_logger().level == level
    assert capfd.readouterr() == ("", "")


def test_without_pooch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from torchcross.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"install torchcross-fewshot\[download\]"):
        published_data.read_published(tmp_path)
