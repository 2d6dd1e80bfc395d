"""Packages are had through the ordinary clients, and only the file that was meant is kept."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from medimeta_adapter.fetch import Package
from medimeta_adapter.fetch.client import fetch_package, run_client
from tests.medimeta.fetch_cases import Shop, package, wheel
from torchcross.errors import FetchError


@pytest.fixture
def thing(tmp_path: Path) -> Path:
    return wheel(tmp_path / "thing-1.0-py3-none-any.whl", {"a": b"1"})


def test_a_package_is_fetched_once(tmp_path: Path, thing: Path) -> None:
    shop = Shop(thing)
    for _ in range(2):
        found = fetch_package(package(thing), tmp_path / "cache", timeout=5, run=shop)
        assert found.read_bytes() == thing.read_bytes()
    assert len(shop.asked) == 1
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [thing.name]


def test_what_is_asked_for(tmp_path: Path) -> None:
    pip = Package("pip", "thing", "1.0", "thing.whl", "", 1).command(tmp_path)
    assert pip[:5] == [sys.executable, "-P", "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary", ":all:", "thing==1.0"} <= set(pip)
    npm = Package("npm", "thing", "1.0", "thing.tgz", "", 1).command(tmp_path)
    assert npm[:3] == ["npm", "pack", "thing@1.0"]
    assert "--ignore-scripts" in npm


def test_another_hash_is_refused_and_not_kept(tmp_path: Path, thing: Path) -> None:
    wanted = replace(package(thing), sha256="0" * 64)
    with pytest.raises(
        FetchError, match=f"thing==1.0 came with the sha256 [0-9a-f]{{64}}; expected {'0' * 64}"
    ):
        fetch_package(wanted, tmp_path / "cache", timeout=5, run=Shop(thing))
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_damaged_file_in_the_cache_is_fetched_again(tmp_path: Path, thing: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / thing.name).write_bytes(b"half")
    shop = Shop(thing)
    assert (
        fetch_package(package(thing), tmp_path / "cache", timeout=5, run=shop).read_bytes()
        == thing.read_bytes()
    )
    assert len(shop.asked) == 1


def test_a_file_put_there_by_hand_needs_no_client(tmp_path: Path, thing: Path) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / thing.name).write_bytes(thing.read_bytes())
    assert fetch_package(
        package(thing), tmp_path / "cache", timeout=5, run=Shop(status=1)
    ).is_file()


def test_what_the_client_says_is_told(tmp_path: Path, thing: Path) -> None:
    shop = Shop(
        status=1, said="Looking in indexes\nERROR: No matching distribution found for thing==1.0\n"
    )
    with pytest.raises(
        FetchError, match=r"pip said: ERROR: No matching distribution.*into .*cache by hand"
    ):
        fetch_package(package(thing), tmp_path / "cache", timeout=5, run=shop)


def test_a_client_that_brings_nothing(tmp_path: Path, thing: Path) -> None:
    with pytest.raises(FetchError, match=r"left 0 files for thing==1.0"):
        fetch_package(package(thing), tmp_path / "cache", timeout=5, run=Shop())


def test_a_missing_client(tmp_path: Path, thing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        FetchError, match=r"thing@1.0 cannot be fetched: 'npm' is not installed here"
    ):
        fetch_package(package(thing, "npm"), tmp_path / "cache", timeout=5)


def program(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def test_a_client_on_the_path(tmp_path: Path, thing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    program(tmp_path, "npm", f'cp "{thing}" "$5"/; echo fetched')
    assert fetch_package(package(thing, "npm"), tmp_path / "cache", timeout=60).is_file()
    program(tmp_path, "npm", "echo npm error 404 >&2; exit 1")
    with pytest.raises(FetchError, match="npm said: npm error 404"):
        fetch_package(package(thing, "npm"), tmp_path / "other", timeout=60)


def test_a_client_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    program(tmp_path, "npm", "exec sleep 60")
    with pytest.raises(FetchError, match=r"did not end within 0\.2 s"):
        run_client(["npm", "pack", "x"], 0.2)


def test_files_of_the_current_folder_are_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text(f"open({str(tmp_path / 'witness')!r}, 'w')")
    (tmp_path / ".npmrc").write_text("git=./hostile\n")
    monkeypatch.chdir(tmp_path)
    command = Package("pip", "thing", "1.0", "thing.whl", "", 1).command(tmp_path)
    status, output = run_client([*command[: command.index("download")], "--version"], 60)
    assert (status, output[:4]) == (0, "pip ")
    assert not (tmp_path / "witness").exists()
    status, output = run_client([sys.executable, "-c", "import os; print(os.listdir())"], 60)
    assert (status, output.strip()) == (0, "[]")


def test_a_cache_may_be_a_path_from_here(
    tmp_path: Path, thing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    program(tmp_path, "npm", f'cp "{thing}" "$5"/; echo fetched')
    assert fetch_package(package(thing, "npm"), Path("cache"), timeout=60).is_file()


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    file = wheel(tmp_path / "thing-1.0-py3-none-any.whl", {"a": b"1"})
    cache = tmp_path / "cache"
    for is_there in (False, True):
        left = cache / f".fetching-{file.name}"
        left.mkdir(parents=True)
        (left / "half").write_bytes(b"...")
        left.with_name(f"{left.name}.lock").write_bytes(b"")
        shop = Shop(file)
        fetch_package(package(file), cache, timeout=1, run=shop)
        assert len(shop.asked) == (not is_there)
        assert [entry.name for entry in cache.iterdir()] == [file.name]


def test_two_processes_do_not_fetch_one_package_at_once(tmp_path: Path) -> None:
    file = wheel(tmp_path / "thing-1.0-py3-none-any.whl", {"a": b"1"})

    def client(command: Sequence[str], timeout: float) -> tuple[int, str]:
        with pytest.raises(FetchError, match="is being written by another process"):
            fetch_package(package(file), tmp_path / "cache", timeout=1, run=Shop(file))
        return Shop(file)(command, timeout)

    fetch_package(package(file), tmp_path / "cache", timeout=1, run=client)
