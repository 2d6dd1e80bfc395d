"""Presets of `torchcross run` that are studies of sources and targets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medimeta_adapter.synthetic import generate
from torchcross.cli.entry import main
from torchcross.errors import InputError
from torchcross.experiment.settings.study_presets import STUDY_PRESETS
from torchcross.experiment.studies import study_of_preset

SMALL = {
    "data.channels": 1,
    "model.backbone": {"name": "conv4", "channels": 4, "bias": True},
    "study.sources": ["scratch", "aml", "reptile:aml"],
    "study.targets": ["dr_regular"],
    "study.seeds": [0],
    "study.fractions": [0.5],
    "reptile.iterations": 1,
    "reptile.shots": 3,
    "source_training.steps": 1,
    "fine_tuning.steps": 2,
    "fine_tuning.validate_every": 1,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("data"), size=16, only=["aml", "dr_regular"])


@pytest.mark.long
def test_a_preset_runs_on_both_eyes_of_subjects(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sets = [part for name, value in SMALL.items() for part in ("--set", f"{name}={_toml(value)}")]
    flags = ["--preset", "reptile-small", "--data", str(folder), "--jobs", "1", "--quiet"]
    out = tmp_path / "out"
    assert main(["run", *flags, "--out", str(out), *sets]) == 0
    written = capsys.readouterr().out
    assert "## qwk over the test split of dr\\_regular/DR level" in written
    assert "Reptile: 1 outer steps" in written
    assert len(list((out / "cells").iterdir())) == 3


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(part)}" for name, part in value.items()) + "}"
    return json.dumps(value)


def test_each_command_lists_the_presets_that_it_takes(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("run", "plan", "tune"):
        assert main([command, "--help"]) == 0
        _, _, listed = capsys.readouterr().out.partition("presets:")
        listed = listed.partition("backbones:")[0]
        assert "medimeta-table4" in listed
        for name in STUDY_PRESETS:
            assert (name in listed) == (command == "run")


def test_a_preset_that_is_a_study_is_for_run_alone(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("plan", "tune"):
        assert main([command, "--preset", "reptile-small"]) == 2
        assert "a study, which only `torchcross run` takes; here there are '" in (
            capsys.readouterr().err
        )
    assert main(["run", "--preset", "quik"]) == 2
    said = capsys.readouterr().err
    assert "no preset is called 'quik'; did you mean 'quick'? There are 'medimeta-table4'" in said
    assert all(f"'{name}'" in said for name in STUDY_PRESETS)


@pytest.mark.parametrize("name", STUDY_PRESETS)
def test_presets_are_whole(folder: Path, name: str) -> None:
    names = {"study.sources": ["scratch", "reptile:aml"], "study.targets": ["dr_regular"]}
    study = study_of_preset(name, {"data.folder": str(folder), **names})
    assert study.settings.study.splits == "own"
    assert study.settings.fine_tuning.batch_norm == "identity"
    assert study.settings.study.sources == ("scratch", "reptile:aml/morphological class")
    eyes = study.data.part("dr_regular/DR level", "test")
    assert eyes.groups is not None


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--algorithms", "mm-pt"], "which has no algorithms"),
        (["--episodes", "3"], "which has no evaluation.episodes"),
        (["experiment.toml"], "which takes no TOML file"),
        ([], "data.folder is missing"),
    ],
)
def test_flags_of_experiments_are_refused(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "--preset", "reptile-small", *flags]) != 0
    assert message in " ".join(capsys.readouterr().err.split())


def test_an_unknown_preset_of_studies_is_an_error() -> None:
    with pytest.raises(InputError, match="reptile-smal"):
        study_of_preset("reptile-smal", {})
