"""Ctrl-C while data is generated: what stays is said, and the command that goes on does so."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from medimeta_adapter import synthetic
from medimeta_adapter.commands import demo_run
from torchcross.cli import main

FEW = ["--only", "oct,aml,bus", "--size", "16"]


@pytest.fixture
def interrupt_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, int], None]:
    """Presses Ctrl-C when so many images of a dataset are written; later calls are undisturbed."""
    genuine = synthetic.generate

    def arrange(dataset: str, images: int) -> None:
        def generate(*arguments: Any, progress: Any, **options: Any) -> Path:
            def press(name: str, done: int, total: int) -> None:
                progress(name, done, total)
                if name == dataset and images <= done < total:
                    monkeypatch.setattr(synthetic, "generate", genuine)
                    signal.raise_signal(signal.SIGINT)

            return genuine(*arguments, progress=press, **options)

        monkeypatch.setattr(synthetic, "generate", generate)

    return arrange


def test_with_resume_the_same_command_goes_on(
    tmp_path: Path, interrupt_after: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "synth", "--out", str(tmp_path / "s"), *FEW, "--resume"]
    interrupt_after("aml", 1)
    assert main(command) == 130
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"torchcross: interrupted; 1 of 3 datasets are complete and stay in {tmp_path / 's'}, and"
        " so do the images of aml that are written; run the same command again to go on"
    )
    assert main(command) == 0
    assert all((tmp_path / "s" / name / "info.yaml").is_file() for name in ("oct", "aml", "bus"))


def test_without_resume_the_advice_is_to_give_it(
    tmp_path: Path, interrupt_after: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["data", "synth", "--out", str(tmp_path / "s"), *FEW]
    interrupt_after("aml", 1)
    assert main(command) == 130
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"torchcross: interrupted; 1 of 3 datasets are complete and stay in {tmp_path / 's'}; run"
        " the same command with --resume to go on"
    )
    assert main([*command, "--resume"]) == 0
    interrupt_after("oct", 1)
    assert main([*command, "--overwrite"]) == 130
    assert "0 of 3 datasets" in (said := capsys.readouterr().err)
    assert said.endswith("run the same command again to generate all of them again\n")


def test_the_demo_says_the_same_and_goes_on(
    tmp_path: Path,
    interrupt_after: Any,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(demo_run, "_SCALE", "tiny")
    interrupt_after("bus", 1)
    assert main(["demo", "--out", str(tmp_path / "demo")]) == 130
    said = capsys.readouterr().err.splitlines()[-1]
    assert f"datasets are complete and stay in {tmp_path / 'demo-data'}" in said
    assert said.endswith("; run the same command again to go on")
