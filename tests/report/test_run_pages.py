"""The page of a run tells what was questionable and what was chosen; a notebook shows its table."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.report.reading import Node, read_page
from tests.report.run_folder import made_run
from torchcross._kit.content_hash import with_hash_line
from torchcross.experiment import RunFolder, experiment_from_values, write_page
from torchcross.experiment.page.caveats import _unjudged_caveats
from torchcross.experiment.page.notebook import outcome_html
from torchcross.experiment.page.run_choices import _unused_sources
from torchcross.experiment.rows.disputed_choices import choices
from torchcross.experiment.rows.training_setup import NO_JUDGE
from torchcross.experiment.run.json_files import write_json

TRAINING = {
    "algorithm": "mm-maml",
    "seed": 0,
    "target": "oct/t",
    "steps": 20,
    "best_step": 20,
    "best_score": 0.7,
    "stopped": "steps",
    "sources": ["b", "c"],
    "left_out": ["a: too few\nsamples"],
    "unjudged": ["b: too few"],
}


def told(**changes: Any) -> dict[str, str]:
    plain = {"algorithms": ["scratch", "mm-maml", "protonet"], "data": {"folder": "nowhere"}}
    return choices(experiment_from_values(plain, changes))


def read(path: Path) -> Node:
    return read_page(path.read_text(encoding="utf-8"))


@pytest.mark.slow
def test_overlapping_and_disjoint_episodes_are_told_apart() -> None:
    assert told()["episodes of a target"].startswith("they overlap: the 100")
    assert "narrower, and says less than it seems to" in told()["episodes of a target"]
    found = told(**{"evaluation.disjoint": True, "evaluation.episodes": 7})["episodes of a target"]
    assert found.startswith("they are disjoint: no two of the 7 share an image")


def test_one_training_seed_is_no_measure_of_training() -> None:
    assert "training variance was not measured" in told()["training seeds"]
    assert told(seeds=[0, 1, 5])["training seeds"].startswith(
        "3 (0, 1, 5): intervals resample the seeds"
    )


def test_what_stands_for_a_missing_class_is_said_of_the_rows_that_do_it() -> None:
    natural = {"evaluation.support": "natural", "text.vectors": "any.safetensors"}
    of_all = told(algorithms=["ncm"], **natural)["support images"]
    assert "Every row: each class that is missing" in of_all
    some = told(algorithms=["ncm", "text", "text+logistic"], **natural)["support images"]
    assert some.endswith(
        "text, text+logistic: a missing class has its text. ncm: each class that is missing among n"
        " images and C classes has the probability 1 / (n + C)."
    )


def test_temperatures_are_said_to_be_1_where_nothing_can_be_left_out() -> None:
    rows = ["ncm", "logistic", "logistic-mean"]
    assert "temperatures" not in told(algorithms=rows)
    tempered = told(algorithms=rows, **{"evaluation.temperature": "leave-one-out"})
    assert tempered["temperatures"].startswith("logistic, logistic-mean: scores are divided")
    assert "It is 1 where each image" in tempered["temperatures"]


def test_transductive_rows_are_named() -> None:
    (name,) = [name for name in told() if name.startswith("BatchNorm")]
    tuned = told()[name]
    assert tuned.startswith("`running` (scratch, mm-maml, protonet)")
    assert "transductive" not in tuned
    own = told(**{"evaluation.adaptation": "own"})[name]
    assert "`running` (scratch)" in own
    assert (
        "`batch` (mm-maml, protonet): statistics of the query set itself. This is transductive"
        in own
    )
    assert own.endswith("Rows that are transductive and rows that are not stand in one table.")
    batch = told(**{"evaluation.norm": "batch"})[name]
    assert "transductive" in batch
    assert "stand in one table" not in batch


def test_who_adapts_in_which_way_is_told() -> None:
    assert told()["adaptation"].startswith(
        "every row by a fresh head and 50 steps of Adam at 0.001"
    )
    assert told(**{"evaluation.adaptation": "own"})["adaptation"].startswith(
        "each row as it was trained to adapt"
    )


def test_full_supervision_has_no_episodes_to_speak_of() -> None:
    found = told(preset="fully-supervised", algorithms=["supervised"], shots=[0])
    assert list(found) == ["scores", "training seeds", "tuning"]


@pytest.mark.long
def test_every_row_of_a_table_has_its_policy() -> None:
    from torchcross.experiment import METHODS

    names = [name for name in METHODS if name != "supervised"]
    for way in ("own", "fine-tune"):
        found = told(algorithms=names, **{"evaluation.adaptation": way, "model.weights": "file"})
        (text,) = [text for name, text in found.items() if name.startswith("BatchNorm")]
        assert all(name in text for name in names)
        frozen = "ncm, simpleshot, probe, fixed-probe, logistic, logistic-mean, text, text+logistic"
        assert f"`frozen` ({frozen}): running" in text


def test_the_page_of_a_run_tells_it(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", **{"evaluation.adaptation": "own"})
    (folder / "train" / "one").mkdir()
    write_json(folder / "train" / "one" / "training.json", TRAINING)
    (folder / "train" / "one" / "log.csv").write_bytes(
        with_hash_line(b"step,loss,lr,gradient_norm,score\n10,0.5,0.1,1.0,\n20,0.4,0.1,1.0,\n")
    )
    found = read(write_page(folder))
    words = found.by_id("protocol").all("dl", "choices")[0].text
    for part in (
        *(
            "they overlap",
            "training variance was not measured",
            "transductive",
            "derm/t, oct/t share subjects",
        ),
        "mm-maml did not learn from 1 of 3",
    ):
        assert part in words
    assert "mm-maml could not be judged by some validation splits" in words
    assert "a: too few" in found.by_id("provenance").text
    assert "2 of 2 datasets are made up" in found.by_id("results").text
    assert "Training variance was not measured" in found.by_id("results").text
    assert "share subjects" in found.by_id("across").text
    assert not [node for node in found.walk() if node.attributes.get("id") == "curves"], (
        "nothing was validated"
    )


def test_without_any_judge_no_source_is_counted_twice() -> None:
    def training(algorithm: str, *unjudged: str) -> dict[str, Any]:
        return {**TRAINING, "algorithm": algorithm, "left_out": [], "unjudged": [*unjudged]}

    def caveats(*trainings: dict[str, Any]) -> list[str]:
        return list(_unjudged_caveats(trainings))

    few, none = "b: too few", NO_JUDGE
    (blind,) = caveats(training("protonet", few, "c: too few", none), training("mm-pt", none))
    assert blind.startswith(
        "Model selection: no source could be judged for protonet, mm-pt: all steps were done and"
        " the last weights were kept"
    )
    (some,) = caveats(training("protonet", none), training("protonet"))
    assert "in 1 of 2 trainings, no source could be judged for protonet" in some
    (part,) = caveats(training("protonet", few))
    assert "could not judge 1 of 2 sources of protonet" in part
    sentences = _unused_sources([training("protonet", few, none), training("mm-maml", few)])
    assert list(sentences) == [
        "protonet could not be judged by any validation split",
        "mm-maml could not be judged by some validation splits",
    ]


def test_learning_curves_have_the_colours_of_their_algorithms(tmp_path: Path) -> None:
    folder = made_run(tmp_path / "run", algorithms=("mm-pt", "mm-maml"), seeds=[0, 1])
    for algorithm in ("mm-pt", "mm-maml"):
        for seed in (0, 1):
            place = folder / "train" / f"{algorithm}-{seed}"
            place.mkdir()
            write_json(
                place / "training.json",
                {**TRAINING, "algorithm": algorithm, "seed": seed, "left_out": []},
            )
            (place / "log.csv").write_bytes(
                with_hash_line(
                    b"step,loss,lr,gradient_norm,score\n10,0.5,0.1,1.0,0.6\n20,0.4,0.1,1.0,0.7\n"
                )
            )
    found = read(write_page(folder)).by_id("curves")
    assert [node.text for node in found.all("h3")] == [
        "validation AUROC of the trained heads (%)",
        "validation AUROC over episodes of the sources (%)",
    ]
    assert [line.classes for line in found.all("path", "line")] == [["line", "s0"]] * 2 + [
        ["line", "s1"]
    ] * 2
    assert "Lines of one colour are training seeds." in found.text


@pytest.mark.parametrize("written", [True, False])
def test_what_a_notebook_shows_of_a_run(tmp_path: Path, written: bool) -> None:
    failure = {
        "kind": "ReadError",
        "target": "<x>/t",
        "algorithm": "scratch",
        "seed": "0",
        "reason": "a < b",
    }
    folder = RunFolder(made_run(tmp_path / "run", failures=[failure]))
    if written:
        write_page(folder.path)
    shown = outcome_html(folder, folder.records(), folder.failures())
    tree = ElementTree.fromstring(f"<div>{shown}</div>")
    texts = [node.text for node in tree.iter()]
    assert "61.5" in texts
    assert "AUROC (%) by target, 5 shots" in texts
    assert "scratch on <x>/t, training seed 0: a < b" in texts
    assert ("not written yet" in shown) != written
    empty = outcome_html(folder, folder.records()[:0], [])
    assert "No rows" in empty
    assert "Failed" not in empty
