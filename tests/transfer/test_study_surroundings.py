"""What computed a study: each part says it, the page shows it, and mixtures are named."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.report.reading import read_page
from tests.transfer.study_data import fast_settings, images_of
from torchcross._kit import tensor_files
from torchcross.errors import DamageError, InputError
from torchcross.jobs import ExecutorEngine, JobFolder
from torchcross.transfer.studies import (
    SourcesByName,
    StudyDesign,
    StudyFolder,
    StudyMachine,
    StudyScores,
    run_study,
    study_contents,
    write_study_report,
)
from torchcross.transfer.studies.folder import read_record
from torchcross.transfer.studies.job import StudyJob, write_record

SETTINGS = fast_settings(
    StudyDesign(sources=("shapes",), targets=("grades",), folds=2),
    StudyScores(names=("knn",)),
)
DATA = SourcesByName({name: images_of(name) for name in ("shapes", "grades")})
KIND = "torchcross.transfer.studies.machine.processor_kind"


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A study of one network and two cells, made on a processor of this name."""
    monkeypatch.setattr(KIND, lambda device: "one kind")
    assert not run_study(SETTINGS, DATA, tmp_path / "out").failures
    return tmp_path / "out"


def test_every_part_says_what_made_it(made: Path) -> None:
    cell = json.loads(next((made / "cells").iterdir()).read_text())["made with"]
    assert cell["processor"] == "one kind"
    assert cell.keys() == {"processor", "torchcross-fewshot", "torch", "numpy", "scikit-learn"}
    network = tensor_files.read_metadata(next((made / "sources").iterdir()))
    assert json.loads(network["made with"]) == cell
    report = write_study_report(StudyFolder.open(made)).read_text()
    assert "- Made with: 1 network, 2 cells: processor one kind, torchcross-fewshot " in report
    page = read_page((made / "report.html").read_text(encoding="utf-8"))
    assert "one kind" in page.by_id("provenance").text
    assert "not all made with" not in report


def test_parts_of_another_processor_or_version_are_named(
    made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    next((made / "cells").iterdir()).unlink()
    monkeypatch.setattr(KIND, lambda device: "NVIDIA OTHER")
    assert not run_study(SETTINGS, DATA, made).failures
    (caution,) = study_contents(StudyFolder.open(made)).cautions
    assert "1 network, 1 cell with processor one kind; 1 cell with processor NVIDIA" in caution
    assert "numpy" not in caution
    report = write_study_report(StudyFolder.open(made)).read_text()
    assert f"- {caution}\n" in report
    page = read_page((made / "report.html").read_text(encoding="utf-8"))
    assert caution in page.by_id("results").text


def test_parts_of_a_version_that_did_not_say_it_are_named(made: Path) -> None:
    path = next((made / "cells").iterdir())
    old = read_record(path)
    del old["made with"]
    write_record(path, old)
    (caution,) = study_contents(StudyFolder.open(made)).cautions
    assert "1 cell with processor not known, torchcross-fewshot not known" in caution


@pytest.mark.parametrize("text", ["[1]", "{", "[" * 100_000])
def test_a_network_that_says_it_in_no_words_is_damaged(made: Path, text: str) -> None:
    path = next((made / "sources").iterdir())
    tensor_files.write(path, tensor_files.read(path)[0], {"made with": text})
    with pytest.raises(DamageError, match="remove it and run the study again"):
        study_contents(StudyFolder.open(made))


def test_a_study_does_not_go_on_with_another_kind_of_device(made: Path) -> None:
    file = made / "study.json"
    begun = read_record(file)
    assert begun["device"] == "cpu"
    write_record(file, {**begun, "device": "cuda"})
    # Nothing is missing, so nothing is made.
    assert not run_study(SETTINGS, DATA, made).failures
    assert read_record(file)["device"] == "cuda"
    next((made / "cells").iterdir()).unlink()
    with pytest.raises(InputError, match=r"machine.device was 'cuda' and is 'cpu'.*kind of device"):
        run_study(SETTINGS, DATA, made)


def test_the_device_of_workers_elsewhere_is_not_that_of_this_process(tmp_path: Path) -> None:
    for device, known in (("auto", None), ("cpu", "cpu")):
        out, engine = tmp_path / device, ExecutorEngine(ThreadPoolExecutor(1), slots=1)
        machine = StudyMachine(device=device)
        assert not run_study(SETTINGS, DATA, out, engine, machine=machine).failures
        assert read_record(out / "study.json").get("device") == known


def test_processes_of_different_processors_do_not_work_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = JobFolder(tmp_path)
    for kind in ("one kind", "NVIDIA OTHER"):
        monkeypatch.setattr(KIND, lambda device, kind=kind: kind)
        job = StudyJob(SETTINGS, DATA, str(tmp_path))
        if kind == "one kind":
            folder.open(job.fingerprint())
            continue
        with pytest.raises(InputError, match="processor is 'NVIDIA OTHER' here and 'one kind'"):
            folder.open(job.fingerprint())
