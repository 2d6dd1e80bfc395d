"""`torchcross data fetch medimeta` as a user runs it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.command_line import run
from tests.medimeta.command_cases import refused
from tests.medimeta.make import write_dataset
from tests.medimeta.record_server import RecordServer, serve_record
from tests.medimeta.test_fetch_published import zipped

pytest.importorskip("pooch")


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RecordServer]:
    root = tmp_path_factory.mktemp("published")
    files = {
        f"{name}.zip": zipped(write_dataset(root, name), f"{name}/")
        for name in ("oct", "derm", "mine")
    }
    with serve_record(files) as state:
        yield state


def test_the_list_comes_before_anything_is_fetched(capsys, tmp_path, server):
    out = tmp_path / "out"
    command = ("data", "fetch", "medimeta", "--server", server.address, "--out", out)
    status, listing, err = run(capsys, *command, "--list")
    assert (status, err) == (0, "")
    lines = listing.splitlines()
    assert lines[0] == "10.5281/zenodo.8000001, version 1.2, licence of the record: cc-by-nc-sa-4.0"
    assert " ".join(lines[1].split()) == "id images MB to fetch MB on disk at least licence"
    assert lines[2].startswith("oct ")
    assert "CC BY-SA 4.0" in lines[2]
    assert lines[4].startswith("2 datasets")
    assert not out.exists()
    status, printed, err = run(capsys, *command, "--only", "oct,mine")
    assert (status, err) == (0, "")
    assert "not in the catalogue: see its LICENSE" in printed
    assert f"oct: {out / 'oct'}: from 10.5281/zenodo.8000001, version 1.2" in printed
    assert (out / "mine" / "info.yaml").is_file()
    assert run(capsys, "data", "info", out)[0] == 0


def test_what_fails_is_told_and_the_others_are_fetched(capsys, tmp_path, server):
    server.faults["/content/oct.zip"] = [("status", 404)]
    command = ("data", "fetch", "medimeta", "--server", server.address, "--out", tmp_path / "out")
    status, printed, err = run(capsys, *command, "--keep-archives")
    assert status == 1
    assert err.startswith("oct: ")
    assert "answers 404" in err
    assert f"derm: {tmp_path / 'out' / 'derm'}: from" in printed
    assert (tmp_path / "out" / ".downloads" / "derm.zip").is_file()


def test_a_server_that_cannot_be_reached(capsys, tmp_path):
    address = "http://127.0.0.1:9"
    command = ("data", "fetch", "medimeta", "--only", "oct", "--server", address)
    status, printed, err = run(capsys, *command, "--out", tmp_path)
    assert (status, printed) == (1, "")
    assert f"{address} cannot be reached" in err
    assert f"put these files into {tmp_path / '.downloads'}, and run the same again" in err


def test_names_and_arguments(capsys, tmp_path, server):
    command = ("data", "fetch", "medimeta", "--server", server.address, "--out", tmp_path)
    assert "did you mean 'derm'?" in refused(capsys, *command, "--only", "dermm")
    assert "--out" in refused(capsys, "data", "fetch", "medimeta")
    assert "is no address" in refused(capsys, *command[:3], "--server", "x", "--out", tmp_path)
