"""`torchcross transfer run` on a folder of data, and what its files may not say."""

from __future__ import annotations

from pathlib import Path

import pytest

from medimeta_adapter.synthetic import generate
from tests.command_line import refused, run

STUDY = """
[data]
folder = "data"
channels = 1

[model]
backbone = { name = "conv4", channels = 4 }

[study]
sources = ["scratch", "oct"]
targets = ["pneumonia"]
folds = 2
source_images = 60
target_images = 40

[source_training]
epochs = 1

[fine_tuning]
epochs = 1
batch_size = 16

[scores]
names = ["knn"]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("transfer")
    generate(folder / "data", scale="tiny", only=["oct", "pneumonia"])
    (folder / "study.toml").write_text(STUDY, encoding="utf-8")
    return folder


def test_a_study_from_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("transfer", "run", folder / "study.toml", "--out", folder / "out", "--jobs", "1")
    status, out, err = run(capsys, *command)
    assert status == 0
    assert "# Which source helps which target" in out
    assert "5 of 5: " in err
    status, again, err = run(capsys, *command)
    assert (status, again) == (0, out)
    assert err.strip() == "5 of 5 parts are there"


WRONG = [
    ("study.fold=3", "did you mean 'study.folds'"),
    ("study.targets=[]", "a study has no targets"),
    ('study.targets=["octt"]', "octt"),
    ("study.folds=1", "folds=1; give 2 or more"),
    ("model.backbone=conv5", "did you mean 'conv4'"),
    ('scores.names=["logmee"]', "logmee"),
    ("data.folder=nowhere", "nowhere"),
]


@pytest.mark.parametrize(("setting", "message"), WRONG)
def test_settings_that_are_wrong(
    folder: Path, capsys: pytest.CaptureFixture[str], setting: str, message: str
) -> None:
    file = folder / "study.toml"
    out = folder / "never"
    assert message in refused(
        capsys, "transfer", "run", file, "--out", out, "--jobs", "1", "--set", setting
    )
    assert not out.exists()


def test_no_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "give a TOML file" in refused(capsys, "transfer", "run", folder / "none.toml")
