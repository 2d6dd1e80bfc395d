"""A search: equal budgets, no target read, the same files in any order; a run with its choice."""

import json
import re
import shutil
from copy import deepcopy
from dataclasses import replace

import pytest

from tests.experiment.conftest import Toys, toy_experiment
from tests.experiment.small import files
from torchcross._kit.content_hash import split_hash_line
from torchcross.errors import DivergenceError, InputError
from torchcross.experiment import (
    TuneFolder,
    compare_runs,
    run_experiment,
    tune_experiment,
    verify_search,
    with_tuned,
    write_page,
)
from torchcross.experiment.rows.disputed_choices import choices
from torchcross.experiment.tuning import scoring, search, tune_bench

LOG = {"from": 1e-3, "to": 1e-1, "scale": "log"}


def searched(**changes):
    """Two rows, and one that reads nothing of the space; two trials."""
    tune = {"trials": 2, "episodes": 2, "space": {"evaluation.lr": LOG}, **changes.pop("tune", {})}
    plain = {"algorithms": ["scratch", "protonet", "ncm"], "data.targets": ["hole"], "shots": [1]}
    return toy_experiment(**{**plain, **changes}, tune=tune)


def trials(folder):
    return [
        json.loads(path.read_text(encoding="utf-8"))
        for path in sorted((folder / "trials").glob("*.json"))
    ]


@pytest.fixture(scope="module")
def over(tmp_path_factory):
    """A search that is over, and the collection that it read."""
    with pytest.MonkeyPatch.context() as patch:
        made = Toys()
        patch.setattr(
            "torchcross.experiment.run.targets.open_collection", lambda kind, folder, **how: made
        )
        folder = tmp_path_factory.mktemp("over") / "search"
        return tune_experiment(searched(), folder), made


@pytest.fixture
def found(over, collection, tmp_path):
    """The same in a folder of the test."""
    outcome, _ = over
    shutil.copytree(outcome.folder.path, tmp_path / "search")
    return replace(outcome, folder=TuneFolder(tmp_path / "search"), chosen=deepcopy(outcome.chosen))


def test_every_row_has_the_same_budget_and_the_best_trial_is_chosen(found):
    assert found.complete
    records = trials(found.folder.path)
    assert sorted((each["row"], each["trial"]) for each in records) == [
        ("protonet", 1),
        ("protonet", 2),
        ("scratch", 1),
        ("scratch", 2),
    ]
    assert len({json.dumps(each["scored on"]) for each in records}) == 1, "the same episodes"
    for row in ("scratch", "protonet"):
        own = [each for each in records if each["row"] == row]
        best = max(own, key=lambda each: each["score"])
        assert found.chosen["targets"]["hole"][row] == best["settings"]
        result = found.chosen["about"]["results"]["hole"][row]
        assert (result["trial"], result["score"]) == (best["trial"], best["score"])
    about = found.chosen["about"]
    assert about["not searched"] == ["ncm"]
    # Trials that differ in fine-tuning alone share a training.
    assert about["results"]["hole"]["protonet"]["trainings"] == 1
    assert about["results"]["hole"]["protonet"]["training steps"] == 3
    assert not (found.folder.path / "train").exists()


def test_the_table_has_every_trial(found):
    path = found.folder.path / "trials.csv"
    body, has_hash = split_hash_line(path, path.read_bytes(), "")
    lines = body.decode().splitlines()
    assert has_hash
    assert lines[0].startswith("target,row,trial,chosen,auroc,undefined,training steps,reason")
    assert lines[0].endswith("evaluation.lr")
    assert len(lines) == 1 + 4
    assert sum(",chosen," in line for line in lines[1:]) == 2


def test_the_target_is_not_read(over):
    outcome, made = over
    assert made.opened == []
    for each in trials(outcome.folder.path):
        assert made.made["hole"].name not in each["scored on"]["of"]


def test_the_same_files_in_another_order_and_nothing_is_done_twice(
    collection, tmp_path, found, monkeypatch
):
    before = files(found.folder.path)
    said = []
    tune_experiment(searched(), found.folder.path, say=said.append)
    assert said == []
    assert files(found.folder.path) == before
    ordered = search.Search.cells
    monkeypatch.setattr(search.Search, "cells", lambda self: reversed(list(ordered(self))))
    tune_experiment(searched(), tmp_path / "other")
    assert files(tmp_path / "other") == before


@pytest.mark.long
def test_a_search_that_stops_in_the_middle_goes_on_to_the_same_files(
    collection, tmp_path, found, monkeypatch
):
    plain, calls = tune_bench.write_json, []

    def stopping(path, record):
        calls.append(path)
        if len(calls) == 3:
            raise KeyboardInterrupt
        plain(path, record)

    with monkeypatch.context() as patch:
        patch.setattr(tune_bench, "write_json", stopping)
        with pytest.raises(KeyboardInterrupt):
            tune_experiment(searched(), tmp_path / "other")
    assert len(trials(tmp_path / "other")) == 2
    assert not (tmp_path / "other" / "chosen.json").exists()
    # What is under way is no damage.
    assert {each.state for each in verify_search(tmp_path / "other").checks} == {"whole", "missing"}
    tune_experiment(searched(), tmp_path / "other")
    assert files(tmp_path / "other") == files(found.folder.path)


def test_a_damaged_trial_is_tried_again(found):
    before = files(found.folder.path)
    path = sorted((found.folder.path / "trials").glob("*.json"))[0]
    path.write_text(path.read_text(encoding="utf-8").replace('"trial": 1', '"trial": 7'))
    said = []
    tune_experiment(searched(), found.folder.path, say=said.append)
    assert any("damaged: a trial of" in line for line in said)
    path.with_name(f"{path.name}.damaged").unlink()
    assert files(found.folder.path) == before


def test_targets_of_the_same_sources_share_their_trials(collection, tmp_path, monkeypatch):
    plain = collection.sources
    monkeypatch.setattr(collection, "sources", lambda target, **how: plain("hole", **how))
    experiment = searched(algorithms=["scratch"], **{"data.targets": ["hole", "specks"]})
    outcome = tune_experiment(experiment, tmp_path / "search")
    assert [each["targets"] for each in trials(tmp_path / "search")] == [["hole", "specks"]] * 2
    assert outcome.chosen["targets"]["hole"] == outcome.chosen["targets"]["specks"]


def test_a_trial_that_diverges_counts_and_is_not_chosen(collection, tmp_path, monkeypatch):
    plain = scoring._EpisodeJudge.score

    def diverging(self, work, cell, learner, experiment):
        if experiment.evaluation.lr == 0.5:
            raise DivergenceError("too fast")
        return plain(self, work, cell, learner, experiment)

    monkeypatch.setattr(scoring._EpisodeJudge, "score", diverging)
    tune = {"search": "grid", "trials": 0, "space": {"evaluation.lr": [0.5, 0.01]}}
    outcome = tune_experiment(searched(algorithms=["scratch"], tune=tune), tmp_path / "search")
    assert outcome.complete
    assert outcome.chosen["targets"]["hole"]["scratch"] == {"evaluation.lr": 0.01}
    assert outcome.chosen["about"]["results"]["hole"]["scratch"]["without score"] == 1
    assert "DivergenceError: too fast" in (tmp_path / "search" / "trials.csv").read_text()
    tune["space"] = {"evaluation.lr": [0.5]}
    none = tune_experiment(searched(algorithms=["scratch"], tune=tune), tmp_path / "none")
    assert not none.complete
    assert none.chosen["targets"]["hole"] == {}


def test_an_episode_without_a_score_counts_as_chance(collection, tmp_path, monkeypatch):
    monkeypatch.setattr(
        scoring._EpisodeJudge, "_values", lambda self, *parts: [1.0, float("nan"), 1.0, 1.0]
    )
    outcome = tune_experiment(searched(algorithms=["scratch"]), tmp_path / "search")
    assert outcome.chosen["about"]["results"]["hole"]["scratch"]["score"] == 3.5 / 4


def test_what_fails_is_told_and_tried_again(collection, tmp_path, monkeypatch):
    plain = collection.sources

    def broken(target, **how):
        if target == "specks":
            raise OSError("the disk is gone")
        return plain(target, **how)

    monkeypatch.setattr(collection, "sources", broken)
    experiment = searched(algorithms=["scratch"], **{"data.targets": ["hole", "specks"]})
    outcome = tune_experiment(experiment, tmp_path / "search")
    assert not outcome.complete
    assert [each["target"] for each in outcome.failures] == ["specks"]
    assert outcome.chosen["targets"]["hole"]
    monkeypatch.setattr(collection, "sources", plain)
    assert tune_experiment(experiment, tmp_path / "search").complete


def test_other_searches_and_runs_are_refused_in_the_folder(collection, tmp_path, found):
    with pytest.raises(
        InputError, match=r"another search:\n- tune\.seed: the search has 0, and these settings 1\n"
    ) as refusal:
        tune_experiment(searched(tune={"seed": 1}), found.folder.path)
    assert "takes no further trials, rows or targets. Give them, or --out" in str(refusal.value)
    with pytest.raises(InputError, match="not empty and holds no run"):
        run_experiment(toy_experiment(), found.folder.path)
    with pytest.raises(InputError, match="is no run"):
        write_page(found.folder.path)
    with pytest.raises(InputError, match="is no search"):
        TuneFolder(tmp_path)
    run_experiment(toy_experiment(algorithms=["ncm"]), tmp_path / "run")
    with pytest.raises(InputError, match="holds a run"):
        tune_experiment(searched(), tmp_path / "run")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty and holds no search"):
        tune_experiment(searched(), tmp_path / "other")


def test_every_file_of_a_search_is_verified(found):
    folder = found.folder.path
    verification = verify_search(folder)
    assert verification.holds
    assert {check.state for check in verification.checks} == {"whole"}
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert {check.name for check in verification.checks} == names
    assert str(verification).splitlines()[-1] == f"{folder}: whole"
    one, other, gone, flipped = sorted((folder / "trials").iterdir())
    other.write_bytes(one.read_bytes())
    gone.unlink()
    flipped.write_bytes(flipped.read_bytes().replace(b'"score"', b'"scorE"'))
    (folder / "trials.csv").write_bytes(b"row\n")
    (folder / "trials" / "mine.json").write_text("{}")
    states = {check.name: check.state for check in verify_search(folder).checks}
    assert {name: state for name, state in states.items() if state != "whole"} == {
        f"trials/{other.name}": "damaged",
        f"trials/{gone.name}": "missing",
        f"trials/{flipped.name}": "damaged",
        "trials.csv": "damaged",
        "trials/mine.json": "not ours",
    }


def test_full_supervision_is_searched_on_its_own_validation_split(collection, tmp_path):
    tune = {"space": {"pretraining.lr": LOG}}
    experiment = searched(algorithms=["supervised"], shots=[0], tune=tune)
    outcome = tune_experiment(experiment, tmp_path / "search")
    assert outcome.complete
    (scored_on, *_) = (each["scored on"]["of"] for each in trials(tmp_path / "search"))
    assert scored_on == [f"{collection.made['hole'].name}, its val split"]
    run = run_experiment(with_tuned(experiment, tmp_path / "search"), tmp_path / "run")
    assert run.complete
    assert (
        "validation split of the target"
        in choices(with_tuned(experiment, outcome.folder.path))["tuning"]
    )


# -- runs with chosen settings ---------------------------------------------------------------------


def words_of(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.read_text(encoding="utf-8")))


@pytest.mark.long
def test_a_run_has_the_chosen_settings_and_its_page_says_so(collection, tmp_path, found):
    experiment = with_tuned(searched(), found.folder.path)
    outcome = run_experiment(experiment, tmp_path / "run")
    chosen = found.chosen["targets"]["hole"]
    by_hand = toy_experiment(
        **{"algorithms": ["scratch", "protonet", "ncm"], "data.targets": ["hole"], "shots": [1]},
        rows=chosen,
    )
    same = run_experiment(by_hand, tmp_path / "by hand" / "run")
    assert outcome.records == same.records
    page = words_of(write_page(tmp_path / "run"))
    assert "a random search (seed 0) of 2 trials of every row for each target" in page.lower()
    assert "No search read its target" in page
    assert "Single rows have values of their own" in page
    assert f"evaluation.lr = {chosen['scratch']['evaluation.lr']}" in page
    assert "Tuned and untuned rows stand side by side: ncm kept the values" in page
    assert "Space of scratch, protonet: evaluation.lr = 0.001 to 0.1 (log scale)" in page
    protocol = json.loads((tmp_path / "run" / "protocol.json").read_text(encoding="utf-8"))
    assert protocol["tuning"]["chosen"]["hole"] == chosen
    assert "saw the test" not in page
    assert "no search: every row has the settings" in words_of(write_page(same.folder.path))


@pytest.mark.long
def test_rows_that_saw_the_test_are_marked_everywhere(collection, tmp_path):
    experiment = searched(tune={"score": "target-queries"})
    said = []
    outcome = tune_experiment(experiment, tmp_path / "search", say=said.append)
    assert outcome.complete
    assert collection.opened
    (scored_on,) = outcome.chosen["about"]["scored on"].values()
    assert scored_on["sources"] == [collection.made["hole"].name]
    assert any("having seen the test" in line for line in said)
    run_experiment(with_tuned(experiment, tmp_path / "search"), tmp_path / "run")
    shown = words_of(write_page(tmp_path / "run"))
    assert "The settings of rows marked (saw the test) were chosen on the episodes" in shown
    for name in ("table.md", "table.csv", "table.tex"):
        table = (tmp_path / "run" / name).read_text(encoding="utf-8")
        assert "scratch (saw the test)" in table
        assert "protonet (saw the test)" in table
        assert "ncm (saw the test)" not in table
        assert "ncm" in table
    by_class = (tmp_path / "run" / "by_class.csv").read_text(encoding="utf-8")
    assert "scratch (saw the test)" in by_class
    assert ",scratch," not in by_class
    compare_runs([tmp_path / "run"], tmp_path / "compared")
    compared = (tmp_path / "compared" / "table.md").read_text(encoding="utf-8")
    assert "scratch (saw the test) (run)" in compared


def test_choices_for_other_targets_rows_and_sources_are_refused(
    collection, tmp_path, found, monkeypatch
):
    other = with_tuned(searched(**{"data.targets": ["hole", "specks"]}), found.folder.path)
    with pytest.raises(InputError, match=r"no settings were chosen for 'specks'"):
        run_experiment(other, tmp_path / "a")
    chosen = with_tuned(searched(), found.folder.path)
    with pytest.raises(InputError, match="has chosen values already"):
        with_tuned(chosen, found.folder.path)
    with pytest.raises(InputError, match="has chosen values already"):
        tune_experiment(chosen, tmp_path / "b")
    del chosen.tuned["targets"]["hole"]["scratch"]
    with pytest.raises(InputError, match=r"no settings were chosen of scratch for 'hole'"):
        run_experiment(chosen, tmp_path / "c")
    plain = collection.sources
    monkeypatch.setattr(collection, "sources", lambda target, **how: plain(target, **how)[1:])
    with pytest.raises(InputError, match="were chosen on other sources than it has now"):
        run_experiment(with_tuned(searched(), found.folder.path), tmp_path / "d")
    with pytest.raises(InputError, match="tuned is not as `torchcross tune` writes it"):
        searched(tuned={"targets": {}})


def test_a_run_may_be_larger_than_the_search_and_says_so(collection, found):
    longer = with_tuned(searched(**{"meta.steps": 9, "seeds": [0, 1]}), found.folder.path)
    said = choices(longer)["tuning"]
    assert "The search ran under other settings than this run: meta.steps." in said


def test_an_experiment_with_a_search_says_that_a_run_does_not_search(collection, tmp_path):
    said = []
    experiment = searched(algorithms=["ncm"], tune={"space": {"evaluation.lr": LOG}})
    run_experiment(experiment, tmp_path / "run", say=said.append)
    assert any("`torchcross tune` searches" in line for line in said)
