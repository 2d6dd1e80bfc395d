"""Runs: what is done is kept, what is left is done, what fails is told, and no target is seen in
training.
"""

import json
import re

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.errors import InputError, SourceError, WriteError
from torchcross.experiment import RunFolder, run_experiment, write_page
from torchcross.experiment.run import scoring, training
from torchcross.experiment.run.split_scores import split_errors_of
from torchcross.records import ALL_SHOTS
from torchcross.statistics import split_interval, within_target


@pytest.mark.slow
def test_rows_of_every_cell(collection, tmp_path):
    said = []
    outcome = run_experiment(
        toy_experiment(algorithms=["scratch", "mm-pt", "mm-maml"]),
        tmp_path / "run",
        say=said.append,
    )
    assert outcome.complete
    records = outcome.records
    assert set(records.unique("algorithm")) == {"scratch", "mm-pt", "mm-maml"}
    assert set(records.unique("target")) == {
        source.name for name, source in collection.made.items() if name in ("hole", "specks")
    }
    auroc = records.where(metric="auroc")
    assert len(auroc) == 3 * 2 * 2 * 3
    assert not records.repeated_keys()
    assert sum("auroc" in line for line in said) == 12


@pytest.mark.slow
def test_algorithms_and_shots_share_their_episodes(collection, tmp_path, monkeypatch):
    seen = {}

    plain = scoring.evaluate

    def spying(how, episodes, **more):
        kept = list(episodes)
        seen[more["algorithm"], more["shots"]] = [
            (e.plan.index, tuple(e.plan.query), tuple(e.plan.support)) for e in kept
        ]
        return plain(how, kept, **more)

    monkeypatch.setattr(scoring, "evaluate", spying)
    run_experiment(toy_experiment(**{"data.targets": ["hole"]}), tmp_path / "run")
    for shots in (1, 2):
        assert seen["scratch", shots] == seen["protonet", shots]
    for few, many in zip(seen["scratch", 1], seen["scratch", 2], strict=True):
        assert few[:2] == many[:2]
        assert set(few[2]) < set(many[2])


def test_full_supervision_is_scored_on_the_test_split(collection, tmp_path):
    outcome = run_experiment(toy_experiment(algorithms=["supervised"], shots=[0]), tmp_path / "run")
    assert outcome.complete
    auroc = outcome.records.where(metric="auroc")
    assert [(row.shots, row.episode) for row in auroc] == [(ALL_SHOTS, 0), (ALL_SHOTS, 0)]
    assert len(auroc.unique("target")) == 2
    page = write_page(tmp_path / "run").read_text(encoding="utf-8")
    assert "Over the images of the split that was scored, by subject where known" in page
    assert "no interval over test images" not in page
    errors = split_errors_of(outcome.folder)
    assert {key[:3] for key in errors} == {
        ("supervised", target, ALL_SHOTS) for target in auroc.unique("target")
    }
    for row in auroc:
        (error,) = errors["supervised", row.target, ALL_SHOTS, "auroc"].values()
        expected = split_interval([row.value], [error], bounds=(0, 1))
        made = within_target(
            outcome.records,
            row.target,
            "auroc",
            ALL_SHOTS,
            split_errors={"supervised": errors["supervised", row.target, ALL_SHOTS, "auroc"]},
        )
        assert (made.rows[0].interval.low, made.rows[0].interval.high) == (
            expected.low,
            expected.high,
        )


@pytest.mark.slow
def test_a_run_goes_on_to_the_same_rows(collection, tmp_path):
    whole = run_experiment(toy_experiment(), tmp_path / "a" / "run").records
    outcome = run_experiment(toy_experiment(), tmp_path / "b" / "run")
    files = sorted((outcome.folder.path / "rows").glob("*.csv"))
    for path in files[::2]:
        path.unlink()
    for path in (outcome.folder.path / "train").glob("*/*.safetensors"):
        assert path.stat().st_size
    collection.opened.clear()
    again = run_experiment(toy_experiment(), tmp_path / "b" / "run")
    assert again.records == whole == outcome.records
    assert 0 < len(collection.opened) < len(files)


@pytest.mark.long
def test_what_is_done_is_not_done_again(collection, tmp_path):
    run_experiment(toy_experiment(), tmp_path / "run")
    collection.opened.clear()
    said = []
    run_experiment(toy_experiment(), tmp_path / "run", say=said.append)
    assert not collection.opened
    assert not said


@pytest.mark.long
def test_no_target_is_opened_before_training_is_over(collection, tmp_path, monkeypatch):

    plain = training.fit

    def watched(*arguments, **more):
        before = list(collection.opened)
        result = plain(*arguments, **more)
        assert collection.opened == before
        return result

    monkeypatch.setattr(training, "fit", watched)
    outcome = run_experiment(toy_experiment(algorithms=["protonet", "mm-pt"]), tmp_path / "run")
    assert outcome.complete
    assert collection.opened


@pytest.mark.long
def test_what_fails_is_told_and_the_rest_goes_on(collection, tmp_path):
    collection.broken = {"hole"}
    outcome = run_experiment(toy_experiment(), tmp_path / "run")
    assert not outcome.complete
    assert {failure["target"] for failure in outcome.failures} == {"hole"}
    assert all("the disk is gone" in failure["reason"] for failure in outcome.failures)
    assert len(outcome.records.unique("target")) == 1
    assert "the disk is gone" in write_page(tmp_path / "run").read_text(encoding="utf-8")
    collection.broken = set()
    healed = run_experiment(toy_experiment(), tmp_path / "run")
    assert healed.complete
    assert len(healed.records.unique("target")) == 2


@pytest.mark.slow
def test_an_error_of_torch_does_not_stop_the_rest(collection, tmp_path, monkeypatch):

    plain = training.fit

    def failing(learner, *arguments, **more):
        if type(learner).__name__ == "ProtoNet":
            raise RuntimeError("out of memory")
        return plain(learner, *arguments, **more)

    monkeypatch.setattr(training, "fit", failing)
    outcome = run_experiment(toy_experiment(algorithms=["protonet", "mm-pt"]), tmp_path / "run")
    reasons = {failure["reason"] for failure in outcome.failures}
    assert all(
        reason.startswith("RuntimeError: out of memory (in failing, test_runner.py")
        for reason in reasons
    )
    assert outcome.records.unique("algorithm") == ("mm-pt",)


def test_rows_of_other_data_are_not_mixed_in(collection, tmp_path, monkeypatch):
    run_experiment(toy_experiment(algorithms=["scratch"]), tmp_path / "run")
    monkeypatch.setattr(collection, "describe", lambda: {"fingerprint": "another"})
    before = (tmp_path / "run" / "provenance.json").read_bytes()
    with pytest.raises(InputError, match="rows of other data"):
        run_experiment(toy_experiment(algorithms=["scratch"]), tmp_path / "run")
    assert (tmp_path / "run" / "provenance.json").read_bytes() == before


@pytest.mark.long
def test_algorithms_stand_in_the_order_of_the_configuration(collection, tmp_path):
    outcome = run_experiment(
        toy_experiment(algorithms=["scratch", "protonet", "ncm"]), tmp_path / "run"
    )
    assert outcome.records.unique("algorithm") == ("scratch", "protonet", "ncm")
    assert "AUROC" in outcome._repr_html_()


@pytest.mark.long
def test_targets_stand_in_the_order_of_the_configuration(collection, tmp_path):
    for targets in (["hole", "specks"], ["specks", "hole"]):
        chosen = {"data.targets": targets, "shots": [1]}
        outcome = run_experiment(
            toy_experiment(algorithms=["ncm", "scratch"], **chosen), tmp_path / targets[0]
        )
        assert outcome.records.unique("target") == tuple(
            collection.made[name].name for name in targets
        )


def test_no_dataset_that_can_be_left_out_is_said_at_once(collection, tmp_path, monkeypatch):
    monkeypatch.setattr(collection, "targets", tuple)
    with pytest.raises(InputError, match="none leaves a source behind"):
        run_experiment(toy_experiment(**{"data.targets": []}), tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.long
def test_a_table_that_cannot_be_written_leaves_the_old_one(collection, tmp_path, monkeypatch):
    run_experiment(toy_experiment(algorithms=["scratch"]), tmp_path / "run")
    write_page(tmp_path / "run")
    before = (tmp_path / "run" / "table.md").read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WriteError, match="No space left"):
        write_page(tmp_path / "run")
    assert (tmp_path / "run" / "table.md").read_bytes() == before
    assert not list((tmp_path / "run").glob("*.part"))


def test_another_experiment_is_refused_in_the_same_folder(collection, tmp_path):
    run_experiment(toy_experiment(algorithms=["scratch"]), tmp_path / "run")
    with pytest.raises(InputError, match=r"evaluation\.steps: the run has 1, and these settings 2"):
        run_experiment(
            toy_experiment(algorithms=["scratch"], **{"evaluation.steps": 2}), tmp_path / "run"
        )
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="not empty and holds no run"):
        run_experiment(toy_experiment(), tmp_path / "other")


def test_unknown_rows_and_targets_are_refused_before_anything_is_made(collection, tmp_path):
    with pytest.raises(InputError, match="'mml'; did you mean 'mm-maml'"):
        run_experiment(toy_experiment(algorithms=["mml"]), tmp_path / "run")
    with pytest.raises(InputError, match=r"give model\.weights"):
        run_experiment(toy_experiment(algorithms=["im-pt"]), tmp_path / "run")
    with pytest.raises(
        InputError, match="no metric of the rows is called 'aurocc'; did you mean 'auroc'"
    ):
        run_experiment(toy_experiment(**{"evaluation.metric": "aurocc"}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
    with pytest.raises(InputError, match="no target 'oct'"):
        run_experiment(toy_experiment(**{"data.targets": ["oct"]}), tmp_path / "run")


@pytest.mark.long
def test_the_page_and_tables_come_from_the_folder_alone(collection, tmp_path):
    run_experiment(toy_experiment(), tmp_path / "run")
    written = write_page(tmp_path / "run")
    text = written.read_text(encoding="utf-8")
    assert "data:image/png;base64," in text
    for name in ("table.md", "table.tex", "table.csv"):
        assert "protonet" in (tmp_path / "run" / name).read_text(encoding="utf-8")
    provenance = json.loads((tmp_path / "run" / "provenance.json").read_text(encoding="utf-8"))
    assert provenance["packages"]["torch"]
    assert RunFolder(tmp_path / "run").experiment["shots"] == [1, 2]
    with pytest.raises(InputError, match="is no run"):
        write_page(tmp_path)


def test_supervised_without_a_validation_split_does_all_its_steps(
    collection, tmp_path, monkeypatch
):
    plain = collection.target

    def target(name, *, split="all"):
        if split == "val":
            raise SourceError(f"the split 'val' of {name!r} is empty")
        return plain(name, split=split)

    monkeypatch.setattr(collection, "target", target)
    outcome = run_experiment(toy_experiment(algorithms=["supervised"], shots=[0]), tmp_path / "run")
    assert outcome.complete
    trained = next((tmp_path / "run" / "train").glob("*/training.json"))
    written = json.loads(trained.read_text())
    assert written["steps"] == 3
    assert written["unjudged"]


def test_a_metric_that_no_target_has_is_refused_before_the_work(collection, tmp_path):
    with pytest.raises(InputError, match=r"evaluation\.metric='qwk'"):
        run_experiment(
            toy_experiment(
                **{"data.targets": ["hole"], "algorithms": ["scratch"], "evaluation.metric": "qwk"}
            ),
            tmp_path / "run",
        )
    assert not list((tmp_path / "run" / "rows").iterdir())


def test_the_protocol_of_a_page_has_the_settings_that_show_it(collection, tmp_path):
    run_experiment(toy_experiment(algorithms=["scratch"]), tmp_path / "run")
    run_experiment(
        toy_experiment(**{"algorithms": ["scratch"], "evaluation.interval": "normal"}),
        tmp_path / "run",
    )
    shown = write_page(tmp_path / "run").read_text()
    protocol = shown[shown.index('id="protocol"') :]
    assert re.search(r"interval\W{0,40}normal", re.sub(r"<[^>]+>", " ", protocol))
