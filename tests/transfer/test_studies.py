"""Studies end to end: the same files however they are made, and what is refused."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.transfer.study_data import BACKBONE, FAST, fast_settings, images_of
from torchcross import Task, TensorSource, transfer
from torchcross.backbones import conv4
from torchcross.errors import InputError
from torchcross.jobs import LocalEngine
from torchcross.targets import Binary
from torchcross.transfer.studies import (
    StudyDesign,
    StudyFolder,
    StudyScores,
    StudyTraining,
    run_study,
    write_study_report,
)
from torchcross.transfer.studies.parts import fold_parts

STUDY = partial(transfer.study, backbone=BACKBONE, folds=2, source_training=FAST, fine_tuning=FAST)
SETTINGS = fast_settings(
    StudyDesign(sources=("shapes", "scratch"), targets=("grades", "findings"), folds=2),
    StudyScores(names=("logme", "leep"), task2vec=30),
)


class EverySource:
    """The data of the tests, opened by name where a unit runs."""

    def open(self, name: str) -> TensorSource:
        return images_of(name)

    def overlap(self, source: str, target: str) -> str:
        return ""


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "jobs" not in path.parts
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole study, made in this process."""
    out = tmp_path_factory.mktemp("study") / "out"
    outcome = run_study(SETTINGS, EverySource(), out)
    assert outcome.failures == ()
    write_study_report(outcome.folder)
    return out


@pytest.mark.long
def test_a_study_has_a_cell_for_every_pair_fold_and_seed(made: Path) -> None:
    results = StudyFolder(made, SETTINGS).results()
    assert results.sources == ("shapes", "scratch")
    assert results.values.shape == (2, 2, 2, 1)
    assert not math.isnan(results.values.sum())
    assert results.transferability()["scratch", "grades"] == 0
    other = StudyFolder(made, SETTINGS).results("balanced_accuracy")
    assert not math.isnan(other.values.sum())
    with pytest.raises(InputError, match="'findings' has no metric 'qwk'"):
        StudyFolder(made, SETTINGS).results("qwk")


@pytest.mark.long
def test_scores_are_those_of_the_weights_that_the_source_left(made: Path) -> None:
    trained = load_file(next((made / "sources").glob("shapes-*")))
    network = conv4(4, in_channels=1).eval()
    network.load_state_dict(
        {
            name.removeprefix("backbone."): value
            for name, value in trained.items()
            if name.startswith("backbone.")
        }
    )
    part, _ = fold_parts(images_of("grades"), SETTINGS, 0)
    rows = range(len(part))
    with torch.no_grad():
        features = network(part.read(rows)).double().numpy()
    expected = transfer.scores.logme(features, part.targets(rows).numpy(), part.task.target)
    record = json.loads(next((made / "cells").glob("shapes-grades-0*")).read_text())
    assert record["scores"]["logme"]["value"] == pytest.approx(expected.value, rel=1e-5)


@pytest.mark.long
def test_two_processes_make_the_same_files(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = run_study(SETTINGS, EverySource(), out, LocalEngine(jobs=2, cores=2))
    assert outcome.failures == ()
    write_study_report(outcome.folder)
    assert files_of(out) == files_of(made)


def test_what_is_gone_is_made_again_and_nothing_else(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(made, out)
    lost = sorted((out / "cells").iterdir())[:2]
    kept = sorted((out / "cells").iterdir())[2]
    before = kept.stat().st_mtime_ns
    for path in lost:
        path.unlink()
    heard: list[str] = []
    run_study(SETTINGS, EverySource(), out, say=heard.append)
    assert heard[0] == "12 of 14 parts are there"
    assert heard[-1].startswith("14 of 14: ")
    assert kept.stat().st_mtime_ns == before
    assert files_of(out) == files_of(made)


def test_missing_cells_are_blank_and_counted(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(made, out)
    folder = StudyFolder(out, SETTINGS)
    lost = next((out / "cells").glob("shapes-grades-*"))
    lost.unlink()
    assert folder.results().matrix().missing == (("shapes", "grades"),)
    text = write_study_report(folder).read_text(encoding="utf-8")
    assert "1 of 8 cells are not done" in text
    assert "| shapes | — |" in text


@pytest.mark.long
def test_a_study_takes_further_sources_targets_and_seeds(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(made, out)
    design = replace(SETTINGS.study, sources=("shapes", "scratch", "lesions"), seeds=(0, 1))
    more = replace(SETTINGS, study=design)
    outcome = run_study(more, EverySource(), out)
    assert outcome.folder.results().values.shape == (3, 2, 2, 2)
    text = write_study_report(outcome.folder).read_text(encoding="utf-8")
    assert "for the rule largest: shapes 60, scratch 0, lesions 60." in text
    assert "| largest (rule) |" in text
    assert "- Sources by auroc, seed against seed: weighted tau" in text
    assert "- Scores by how well they rank the sources, fold against fold:" in text
    first = files_of(made)
    assert all(files_of(out)[name] == first[name] for name in first if name.startswith("cells/"))
    with pytest.raises(InputError, match=r"fine_tuning.lr was 0.001 and is 0.01"):
        run_study(replace(more, fine_tuning=replace(FAST, lr=0.01)), EverySource(), out)


class OtherImages(EverySource):
    """One dataset has another image."""

    def open(self, name: str) -> TensorSource:
        source = images_of(name)
        if name != "shapes":
            return source
        images = source.images(range(60)).clone()
        images[0] += 0.1
        return TensorSource(images, source.labels, source.task, name=name)


def test_other_data_under_the_same_names_is_refused(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(made, out)
    before = files_of(out)
    with pytest.raises(InputError, match="data shapes has other content"):
        run_study(SETTINGS, OtherImages(), out)
    assert files_of(out) == before


def test_other_weights_under_the_same_name_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "weights.pth"
    options = {"folder": tmp_path / "out", "weights": {"mine": str(file)}, "scratch": False}
    options["normalisation"] = "none"
    target = {"grades": images_of("grades")}
    torch.save(conv4(4, in_channels=1, seed=1).state_dict(), file)
    content = file.read_bytes()
    first = STUDY({}, target, **options).values
    torch.save(conv4(4, in_channels=1, seed=2).state_dict(), file)
    with pytest.raises(InputError, match="weights mine has other content"):
        STUDY({}, target, **options)
    moved = file.rename(tmp_path / "moved.pth")
    moved.write_bytes(content)
    again = STUDY({}, target, **{**options, "weights": {"mine": str(moved)}}).values
    assert (first == again).all()
    with pytest.raises(InputError, match="cannot be read"):
        STUDY({}, target, **options)


def test_a_metric_that_a_target_lacks_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    design = replace(SETTINGS.study, metric="qwk")
    with pytest.raises(InputError, match="findings: no metric is called 'qwk'"):
        run_study(replace(SETTINGS, study=design), EverySource(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_report_says_what_limits_it(made: Path) -> None:
    text = (made / "report.md").read_text(encoding="utf-8")
    assert "There is one training seed" in text
    assert "2 targets carry no inference over targets" in text
    assert "noise floor" in text
    page = (made / "report.html").read_text(encoding="utf-8")
    for words in ("There is one training seed", "Map of the distances task2vec", "noise floor"):
        assert words in page
    cells = (made / "cells.csv").read_text(encoding="utf-8").splitlines()
    assert cells[0] == "source,target,fold,seed,fraction,kind,name,value,reason"
    assert any(line.startswith("shapes,grades,0,0,1.0,score,leep,") for line in cells)
    # The random start has no classes of its own.
    assert any(
        "scratch,grades,0,0,1.0,score,leep,,the source has no classes" in line for line in cells
    )


def test_damage_is_noticed(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(made, out)
    path = next((out / "cells").iterdir())
    record = json.loads(path.read_text(encoding="utf-8"))
    record["metrics"]["auroc"]["value"] = 0.99
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(Exception, match="remove it and run the study again"):
        StudyFolder(out, SETTINGS).results()


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("x")
    with pytest.raises(InputError, match="is not empty and no study"):
        run_study(SETTINGS, EverySource(), tmp_path)


# -- leaks ----------------------------------------------------------------------------------------


def test_a_source_with_images_of_the_target_is_refused() -> None:
    target = images_of("grades")
    images = torch.cat([images_of("lesions").images(range(20)), target.images(range(20))])
    labels = torch.arange(40) % 2
    mixed = TensorSource(images, labels, Task("mixed", Binary(["no", "yes"])))
    with pytest.raises(InputError, match="20 of its images are images of the target too"):
        STUDY({"mixed": mixed}, {"grades": target})


@pytest.mark.long
def test_a_pair_of_one_name_is_marked(tmp_path: Path) -> None:
    both = {"grades": images_of("grades")}
    results = STUDY(both, both, folder=tmp_path / "out", self_pairs=True)
    assert not math.isnan(results.matrix()["grades", "grades"])
    record = json.loads(next((tmp_path / "out/cells").glob("grades-grades*")).read_text())
    assert "test folds were in the training" in record["leaks"]
    without = STUDY(both, {**both, "findings": images_of("findings")})
    assert without.matrix().missing == (("grades", "grades"),)


def test_early_stopping_has_a_validation_part_of_its_own(tmp_path: Path) -> None:
    patient = StudyTraining(epochs=3, batch_size=16, augment=False, patience=1, validation=0.2)
    STUDY({}, {"grades": images_of("grades")}, folder=tmp_path / "out", fine_tuning=patient)
    record = json.loads(next((tmp_path / "out/cells").iterdir()).read_text())
    images = record["images"]
    assert images["training"] + images["validation"] == 30 == images["test"]
    assert images["validation"] >= 4
    assert record["best step"] is not None
