"""`torchcross transfer run` on a folder of data, and what its files may not say."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.command_line import refused, run
from tests.transfer.study_files import study_text, write_study
from torchcross import backbones
from torchcross.experiment import engine_settings
from torchcross.experiment.settings.listing import settings
from torchcross.experiment.settings.reading import read_toml
from torchcross.experiment.studies import StudyFile, engine_of_study, read_study, study_sections
from torchcross.jobs import ExecutorEngine, InlineEngine, LocalEngine
from torchcross.transfer import studies

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_study(tmp_path_factory.mktemp("transfer"), ["oct", "pneumonia"])


def test_a_study_from_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ("transfer", "run", folder / "study.toml", "--out", folder / "out", "--jobs", "1")
    status, out, err = run(capsys, *command)
    assert status == 0
    assert "# Which source helps which target" in out
    assert "5 of 5: " in err
    caution = "Synthetic data: 2 of 2 datasets are made up."
    assert f"- {caution}" in out
    assert out.splitlines()[-1] == str(folder / "out" / "report.html")
    assert caution in (folder / "out" / "report.html").read_text(encoding="utf-8")
    status, again, err = run(capsys, *command)
    assert (status, again) == (0, out)
    assert err.strip() == "5 of 5 parts are there"
    assert run(capsys, "status", folder / "out")[:2] == (
        0,
        f"{folder / 'out'}: 4 of 4 cells are done\n",
    )
    page = folder / "out" / "report.html"
    before = page.read_bytes()
    page.unlink()
    status, shown, _ = run(capsys, "transfer", "report", folder / "out")
    assert (status, shown.splitlines()[-1]) == (0, str(page))
    assert page.read_bytes() == before
    elsewhere = ("--out", folder / "page", "--metric", "accuracy", "--baseline", "none")
    assert run(capsys, "transfer", "report", folder / "out", *elsewhere)[0] == 0
    assert "accuracy, mean over" in (folder / "page" / "report.html").read_text(encoding="utf-8")


WRONG = [
    ("study.fold=3", "did you mean 'study.folds'"),
    ("study.targets=[]", "a study has no targets"),
    ('study.targets=["octt"]', "octt"),
    ("study.folds=1", "folds=1; give 2 or more"),
    ("model.backbone=conv5", "did you mean 'conv4'"),
    ('scores.names=["logmee"]', "logmee"),
    ("data.folder=nowhere", "nowhere"),
    ("study.seeds=[1,1]", "seeds have ['1'] twice"),
    ('study.weights={a="none.pth"}', "study.weights.a is 'none.pth', which is no file"),
    ("study.weights.a=none.pth", "study.weights.a is 'none.pth', which is no file"),
    ("scores.probe_weights=none.pth", "scores.probe_weights is 'none.pth', which is no file"),
    ("engine.jobs=0", "engine.jobs is 0"),
    ("engine.name=slurm", "contradict each other"),
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


@pytest.mark.parametrize("name", ["transfer.toml", "transfer_seeds.toml"])
def test_the_studies_of_real_images_have_the_settings_that_there_are(name: str) -> None:
    file = study_sections(read_toml(EXAMPLES / name))
    assert len(file.study.names) == (9 if file.study.weights else 8)
    assert len(file.study.targets) == 3
    backbones.build({"name": file.model.backbone.name, "options": {"in_channels": 3}})


def test_jobs_win_over_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = folder / "slow.toml"
    file.write_text(study_text(more="[engine]\njobs = 0"), encoding="utf-8")
    never = folder / "never"
    assert "engine.jobs is 0" in refused(capsys, "transfer", "run", file, "--out", never)
    file.write_text(study_text(more="[engine]\njobs = 2"), encoding="utf-8")
    engines = (
        engine_of_study(read_study(file, overrides), never)
        for overrides in ({}, {"engine.jobs": 1})
    )
    assert [type(engine) for engine in engines] == [LocalEngine, InlineEngine]
    said = refused(
        capsys, "transfer", "run", file, "--out", never, "--engine", "ray", "--jobs", "3"
    )
    assert "engine.jobs=3 (--jobs) and engine.name='ray' (--engine) contradict" in said
    assert not never.exists()


def test_a_device_that_is_not_here_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    file, never = folder / "study.toml", folder / "never"
    file.write_text(study_text(), encoding="utf-8")
    asked = ("transfer", "run", file, "--out", never, "--device")
    assert "machine.device='cuda' is not here" in refused(capsys, *asked, "cuda")
    assert "'gpu' is not a device" in refused(capsys, *asked, "gpu")
    engine = ExecutorEngine(ThreadPoolExecutor(1), slots=1)
    monkeypatch.setattr(engine_settings, "job_engine_named", lambda *given: engine)
    elsewhere = refused(capsys, *asked, "auto", "--engine", "far")
    assert "machine.device='auto' is what this machine has" in elsewhere
    assert not never.exists()


def test_settings_are_listed_and_stand_in_the_documentation(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, _ = run(capsys, "transfer", "run", "--settings")
    assert status == 0
    assert "study.target_images = 0\n    about how many images" in out
    documented = (EXAMPLES.parent / "transfer.md").read_text(encoding="utf-8")
    for setting in settings(StudyFile):
        assert setting.says, setting.name
        if "." in setting.name:
            assert f"| `{setting.name.partition('.')[2]}` |" in documented


def test_commands_of_runs_name_those_of_studies(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "study.json").write_text("{}", encoding="utf-8")
    for command in ("verify", "report"):
        assert "torchcross transfer report" in refused(capsys, command, tmp_path)
    assert "torchcross transfer run" in refused(capsys, "plan", folder / "study.toml")


def test_no_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "give the TOML file of a study" in refused(capsys, "transfer", "run")
    assert "give a TOML file" in refused(capsys, "transfer", "run", folder / "none.toml")


def test_the_page_of_a_published_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "published.csv"
    table.write_text("source,target,auroc\nscratch,t,.7\nphotos,t,.8\nscans,t,.9\n")
    pairs = tmp_path / "scores.csv"
    pairs.write_text("source,target,votes\nphotos,t,2\nscans,t,3\nscratch,t,1\n")
    notes = tmp_path / "notes.txt"
    notes.write_text("# Beware\n\nIt was *not* blinded.\n")
    options = ("--scores", pairs, "--notes", notes, "--largest", "photos", "--title", "A study")
    out = tmp_path / "page"
    status, shown, _ = run(capsys, "transfer", "report", table, "--out", out, *options)
    assert (status, shown.splitlines()[-1]) == (0, str(out / "report.html"))
    text = (out / "report.html").read_text(encoding="utf-8")
    unknown = "folds and training seeds are not known"
    for words in ("<h1>A study", "Beware", "always photos (rule)", "gain over scratch", unknown):
        assert words in text
    for words in ("1 fold", "over folds", "one training seed"):
        assert words not in text
    message = refused(capsys, "transfer", "report", tmp_path / "none.csv", "--out", out)
    assert "cannot be read" in message


def test_folders_without_a_page(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(capsys, "transfer", "report", folder / "data")
    assert "is no folder of a study: it has no study.json" in message
    (tmp_path / "study.json").write_text("{}", encoding="utf-8")
    assert "study.json" in refused(capsys, "transfer", "report", tmp_path)


def test_ctrl_c_says_how_to_go_on_after_the_report(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = tmp_path / "report.md"
    report.write_text("# So far\n", encoding="utf-8")
    stopped = SimpleNamespace(folder=None, failures=(), stopped=True)
    monkeypatch.setattr(studies, "run_study", lambda *given, **more: stopped)
    monkeypatch.setattr(studies, "write_study_report", lambda folder: report)
    status, out, err = run(capsys, "transfer", "run", folder / "study.toml", "--jobs", "1")
    assert (status, out.splitlines()[0]) == (130, "# So far")
    assert err == "torchcross: interrupted; run the same command again to go on\n"

    def stop(*given: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("torchcross.experiment.studies.read_study", stop)
    status, _, err = run(capsys, "transfer", "run", folder / "study.toml")
    assert (status, err) == (130, "torchcross: interrupted; run the same command again to go on\n")
