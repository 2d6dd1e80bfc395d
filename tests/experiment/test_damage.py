"""Damage that keeps the form of a file: it is noticed, named, and made good where that can be."""

import random
import shutil
from dataclasses import replace

import numpy as np
import pandas
import pytest

from tests.experiment.conftest import Toys, toy_experiment
from tests.experiment.earlier_version import strip_hash_line, without_hashes
from torchcross._kit import tensor_files
from torchcross._kit.content_hash import split_hash_line, with_hash_line
from torchcross.cli import main
from torchcross.errors import DamageError, InputError
from torchcross.experiment import RunFolder, run_experiment, verify_run, write_page
from torchcross.experiment.run.examples import read_example, write_example
from torchcross.experiment.run.json_files import read_json, write_json
from torchcross.records import read_records

EXPERIMENT = toy_experiment(
    algorithms=["scratch", "protonet"], shots=[1], **{"data.targets": ["hole"]}
)


def run_on_toys(experiment, folder):
    with pytest.MonkeyPatch.context() as patch:
        toys = Toys()
        patch.setattr(
            "torchcross.experiment.run.targets.open_collection", lambda kind, folder, **how: toys
        )
        run_experiment(experiment, folder)
    return folder


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = run_on_toys(EXPERIMENT, tmp_path_factory.mktemp("whole") / "run")
    write_page(folder)
    return folder


@pytest.fixture
def run(whole, tmp_path):
    """A finished run with its page, for one test to spoil."""
    return shutil.copytree(whole, tmp_path / "run")


def rows(run, algorithm="scratch"):
    return next((run / "rows").glob(f"{algorithm}-*.csv"))


def states(run, state):
    return [check.name for check in verify_run(run).checks if check.state == state]


def test_a_whole_run_is_whole(run, capsys):
    assert main(["verify", str(run)]) == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[0].split() == [
        *("files", "whole", "no", "hash", "damaged", "missing", "other")
    ]
    assert printed.splitlines()[-1] == f"{run}: whole"
    verification = verify_run(run)
    assert {check.state for check in verification.checks} == {"whole"}
    names = {check.name for check in verification.checks}
    files = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    assert names == {name for name in files if not name.endswith("lock")}
    with pytest.raises(InputError, match="is no run"):
        verify_run(run / "rows")


@pytest.mark.long
def test_a_flipped_bit_of_any_file_is_noticed(run):
    draws = random.Random(0)
    harmless = 0
    for path in sorted(path for path in run.rglob("*") if path.is_file()):
        content = path.read_bytes()
        if path.name == "lock" or not content:
            continue
        name = str(path.relative_to(run))
        for _ in range(4):
            spoilt = bytearray(content)
            spoilt[draws.randrange(len(spoilt))] ^= 1 << draws.randrange(8)
            path.write_bytes(spoilt)
            verification = verify_run(run)
            if path.suffix == ".npz" and verification.holds:
                # The times and numbers of a zip file's directory are no part of its content.
                with np.load(path) as file:
                    assert {"told", "pixels"} <= set(file.files) or "query_strata" in file.files
                harmless += 1
                continue
            assert not verification.holds, name
            assert name in states(run, "damaged") or name == "page.json"
        path.write_bytes(content)
    assert harmless < 4


def test_a_rows_file_cut_at_the_end_of_a_line_moves_no_best(run, collection):
    path = rows(run)
    before = path.read_bytes()
    lines = before.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-3]))
    with pytest.raises(DamageError, match="its content hash is gone"):
        RunFolder(run).records()
    with pytest.raises(DamageError, match=rf"{path.name}"):
        write_page(run)
    assert states(run, "damaged") == [f"rows/{path.name}"]
    said = []
    assert run_experiment(EXPERIMENT, run, say=said.append).complete
    assert any(line.startswith("damaged: scratch for hole") for line in said)
    assert path.read_bytes() == before
    assert verify_run(run).holds
    assert sorted(states(run, "set aside"))[-1] == f"rows/{path.name}.damaged"
    assert (run / "rows" / f"{path.name}.damaged").read_bytes() == b"".join(lines[:-3])


@pytest.mark.parametrize("part", ["rows", "episodes", "examples"])
@pytest.mark.usefixtures("collection")
def test_a_damaged_cell_is_made_again_to_the_same_bytes(run, part):
    path = next((run / part).glob("protonet-*"))
    before = path.read_bytes()
    path.write_bytes(
        before.replace(b"protonet", b"protonex", 1)[: len(before) - (part == "examples")]
    )
    said = []
    assert run_experiment(EXPERIMENT, run, say=said.append).complete
    assert sum("protonet for hole, training seed 0, 1 shot, is made again" in x for x in said) == 1
    assert path.read_bytes() == before
    assert verify_run(run).holds


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of two trainings for each of two targets."""
    return run_on_toys(TRAINED, tmp_path_factory.mktemp("trained") / "run")


TRAINED = toy_experiment(
    algorithms=["protonet"], shots=[1], seeds=[0, 1], **{"data.targets": ["hole", "specks"]}
)


@pytest.fixture
def spoilt(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


def trainings(run):
    return sorted((run / "train").iterdir())


def exchange(first, second):
    between = first.with_name("between")
    first.rename(between)
    second.rename(first)
    between.rename(second)


REMOVALS = {
    "all trainings": lambda run: shutil.rmtree(run / "train"),
    "a training": lambda run: shutil.rmtree(trainings(run)[0]),
    "a summary": lambda run: (trainings(run)[0] / "training.json").unlink(),
    "a checkpoint": lambda run: max(trainings(run)[0].glob("checkpoint-*")).unlink(),
}


@pytest.mark.long
@pytest.mark.parametrize("what", REMOVALS)
def test_a_training_that_is_gone_is_missing(spoilt, what):
    assert verify_run(spoilt).holds
    name = trainings(spoilt)[0].name
    REMOVALS[what](spoilt)
    assert f"train/{name}/" in states(spoilt, "missing")[0]


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["weights.safetensors", "log.csv", "training.json", "checkpoint-00000002.safetensors"]
)
def test_whole_files_of_another_training_are_noticed(spoilt, name):
    first, second = trainings(spoilt)[:2]
    exchange(first / name, second / name)
    damaged = states(spoilt, "damaged")
    assert {f"train/{each.name}/{name}" for each in (first, second)} <= set(damaged)


def test_trainings_with_exchanged_names_are_noticed(spoilt):
    first, second = trainings(spoilt)[:2]
    exchange(first, second)
    damaged = states(spoilt, "damaged")
    assert damaged == [f"train/{each.name}/training.json" for each in (first, second)]


@pytest.mark.usefixtures("collection")
def test_an_example_of_another_cell_is_noticed_and_made_again(spoilt):
    first, second = sorted((spoilt / "examples").iterdir())
    before = first.read_bytes()
    shutil.copy(second, first)
    assert states(spoilt, "damaged") == [f"examples/{first.name}"]
    assert run_experiment(TRAINED, spoilt).complete
    assert first.read_bytes() == before
    assert verify_run(spoilt).holds


@pytest.mark.long
@pytest.mark.usefixtures("collection")
def test_a_run_mends_the_summary_of_a_training(spoilt):
    path = trainings(spoilt)[0] / "training.json"
    before = path.read_bytes()
    path.write_bytes(before[:-10])
    for rows in (spoilt / "rows").iterdir():
        rows.unlink()
    assert run_experiment(TRAINED, spoilt).complete
    assert path.read_bytes() == before
    assert verify_run(spoilt).holds


def test_a_run_of_an_earlier_version_is_read_with_a_note(run, collection, capsys):
    before = RunFolder(run).records()
    without_hashes(run)
    assert RunFolder(run).records() == before
    assert "have no content hash" in write_page(run).read_text(encoding="utf-8")
    (run / "page.json").unlink()
    collection.opened.clear()
    assert run_experiment(EXPERIMENT, run).complete
    assert not collection.opened
    assert main(["verify", str(run)]) == 0
    assert "no hash: an earlier version wrote it" in capsys.readouterr().out
    assert len(states(run, "no hash")) > 10


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "not 3 metrics of the episodes 0 to 2"),
        (lambda lines: [*lines[:1], *reversed(lines[1:])], "in this order"),
        (lambda lines: [lines[0], *lines[4:]], "not 3 metrics of the episodes 0 to 2"),
        (lambda lines: [line.replace(b",1,0,", b",2,0,") for line in lines], "of shots"),
        (lambda lines: [line.replace(b"scratch", b"protonet") for line in lines], "of algorithm"),
    ],
)
def test_rows_are_what_their_episodes_gave(run, change, said):
    without_hashes(run)
    metrics = len(RunFolder(run).records().unique("metric"))
    strip_hash_line(rows(run), change)
    with pytest.raises(DamageError, match=said.replace("3 metrics", f"{metrics} metrics")):
        RunFolder(run).records()
    assert states(run, "damaged") == [f"rows/{rows(run).name}"]


def test_rows_of_another_cell_or_of_nobody_are_refused(run):
    path = rows(run)
    copy = path.with_name("copy.csv")
    shutil.copy(path, copy)
    with pytest.raises(DamageError, match=r"copy\.csv has no copy\.json"):
        RunFolder(run).records()
    shutil.copy(run / "episodes" / f"{path.stem}.json", run / "episodes" / "copy.json")
    with pytest.raises(DamageError, match=f"a copy of {path.stem}"):
        RunFolder(run).records()
    assert set(states(run, "not ours")) == {"rows/copy.csv", "episodes/copy.json"}


def test_what_is_gone_is_named(run, capsys):
    lost = rows(run)
    lost.unlink()
    weights = next((run / "train").glob("*/weights.safetensors"))
    weights.unlink()
    (run / "table.tex").unlink()
    (run / "notes.txt").write_text("mine")
    (run / "rows" / "x.csv.12.part").write_text("half")
    assert main(["verify", str(run)]) == 1
    printed = capsys.readouterr().out
    for line in (
        f"missing: rows/{lost.name}: ",
        f"missing: {weights.relative_to(run)}: ",
        "missing: table.tex: ",
        "not ours: notes.txt: ",
        "unfinished: rows/x.csv.12.part: ",
        f"{run}: not whole",
    ):
        assert line in printed


def test_a_cell_that_failed_is_not_missing(run):
    path = rows(run)
    path.unlink()
    failure = {"kind": "ReadError", "target": "hole", "algorithm": "scratch", "seed": "0"}
    write_json(run / "failures.json", {"failures": [{**failure, "reason": "the disk is gone"}]})
    verification = verify_run(run)
    assert verification.holds
    assert f"failed: rows/{path.name}: the disk is gone" in str(verification)


@pytest.mark.parametrize("name", ["experiment.json", "provenance.json", "failures.json"])
@pytest.mark.usefixtures("collection")
def test_a_damaged_file_that_cannot_be_made_again_stops_the_run(run, name):
    path = run / name
    path.write_text(path.read_text().replace("a", "b", 1))
    with pytest.raises((DamageError, InputError), match=name.replace(".", r"\.")):
        run_experiment(EXPERIMENT, run)
    assert name in states(run, "damaged")


@pytest.mark.parametrize(
    ("file", "changes", "match"),
    [
        ("protocol.json", {"choices": [["a", "b", "c"]]}, "choices cannot be used; remove it"),
        ("protocol.json", {"choices": {"a": 1}, "cautions": None}, "cautions, choices"),
        ("protocol.json", {"episodes of targets": {"hole": {}}}, "episodes of targets cannot"),
        ("training.json", {"target": {}, "seed": "0"}, "target, seed cannot be used"),
        ("training.json", {"algorithm": "boil"}, "'boil', which this run does not have"),
    ],
)
def test_fields_that_a_run_does_not_write_are_named(run, file, changes, match):
    """Also where the content hash fits them."""
    path = next(run.rglob(file))
    write_json(path, {**read_json(path), **changes})
    with pytest.raises(InputError, match=f"{file}.*{match}"):
        write_page(run)


def test_an_example_of_another_algorithm_is_named(run):
    path = next((run / "examples").glob("*.npz"))
    write_example(path, replace(read_example(path), algorithm="boil"))
    with pytest.raises(InputError, match=f"{path.name} is of 'boil'"):
        write_page(run)


@pytest.mark.usefixtures("collection")
def test_a_protocol_that_was_removed_is_whole_again(run):
    before = (run / "protocol.json").read_bytes()
    (run / "protocol.json").unlink()
    assert run_experiment(EXPERIMENT, run).complete
    assert (run / "protocol.json").read_bytes() == before


@pytest.mark.parametrize("file", ["report.html", "table.csv"])
def test_a_changed_page_is_named_and_written_again(run, file):
    path = run / file
    path.write_bytes(path.read_bytes().replace(b"0.", b"1.", 1))
    assert states(run, "damaged") == [file]
    write_page(run)
    assert verify_run(run).holds


@pytest.mark.usefixtures("collection")
def test_a_checkpoint_with_a_flipped_bit_is_refused_by_name(run):
    path = max((run / "train").glob("*/checkpoint-*.safetensors"))
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    rows(run, "protonet").unlink()
    (failure,) = run_experiment(EXPERIMENT, run).failures
    assert failure["kind"] == "DamageError"
    assert path.name in failure["reason"]


def test_hashes_are_in_the_files_themselves(run):
    assert tensor_files.HASH in tensor_files.read(next(run.glob("train/*/weights.safetensors")))[1]
    assert read_json(run / "protocol.json", hashed=True)
    content, has_hash = split_hash_line(rows(run), rows(run).read_bytes(), "")
    assert has_hash
    assert with_hash_line(content) == rows(run).read_bytes()
    table = pandas.read_csv(rows(run), comment="#")
    assert len(table) == len(read_records(rows(run)))
    assert table["value"].tolist() == read_records(rows(run)).columns["value"].tolist()


@pytest.mark.parametrize("content", ["{", "[1]"])
def test_what_to_do_is_said_where_a_file_is_no_json_too(run, content):
    (run / "experiment.json").write_text(content)
    with pytest.raises(InputError, match=r"experiment\.json .*; put it back from a copy"):
        run_on_toys(EXPERIMENT, run)


def test_a_damaged_cell_is_told_to_run_again(run):
    path = rows(run)
    path.write_bytes(path.read_bytes().replace(b"scratch", b"scratca", 1))
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torchcross.experiment.run.targets.open_collection", lambda *a, **how: Toys())
        run_experiment(EXPERIMENT, run, say=said.append)
    (line,) = [text for text in said if text.startswith("damaged: ")]
    assert "run the same again" in line
    assert "write the file again" not in line
