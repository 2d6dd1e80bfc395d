"""What is written is whole, what is read is checked, and a folder is one process's alone."""

import errno
import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from tests.examples import max_examples
from tests.training.subjects import (
    batches,
    bits,
    equal,
    magnitude,
    maml,
    multi_task,
    options,
    protonet,
    sampler,
)
from torchcross._kit import tensor_files
from torchcross._kit.content_hash import split_hash_line
from torchcross.algorithms import ProtoNet
from torchcross.backbones import conv4
from torchcross.errors import InputError, ReadError, TorchcrossError, WriteError
from torchcross.training import TorchMachine, fit, read_log
from torchcross.training.checkpoints import FORMAT, Checkpoints

ROOT = Path(__file__).parents[2]


def run(folder, algorithm=None, data=None, machine=None, **given):
    algorithm = protonet() if algorithm is None else algorithm
    chosen = options(**{"checkpoint_every": 2, **given})
    return algorithm, fit(
        algorithm, sampler() if data is None else data, chosen, folder=folder, machine=machine
    )


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    run(folder)
    return folder


@pytest.fixture
def folder(kept, tmp_path):
    """A finished run of six steps, for one test to spoil."""
    return Path(shutil.copytree(kept, tmp_path / "run"))


def last(folder):
    return folder / "checkpoint-00000006.safetensors"


def rewritten(path, change):
    """The same file with another record and other tensors."""
    tensors = load_file(path)
    record = record_of(path)
    change(record, tensors)
    tensor_files.write(path, tensors, {FORMAT: json.dumps(record)})


def record_of(path):
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"][FORMAT])


@pytest.mark.slow
def test_old_checkpoints_go(folder):
    assert sorted(path.name for path in folder.glob("*.safetensors")) == [
        "checkpoint-00000004.safetensors",
        "checkpoint-00000006.safetensors",
        "weights.safetensors",
    ]


def test_an_old_checkpoint_that_a_kill_left_goes_with_the_next_call(folder):
    """Killed between the last checkpoint's rename and the removal of an old one."""
    shutil.copy(
        folder / "checkpoint-00000004.safetensors", folder / "checkpoint-00000002.safetensors"
    )
    run(folder)
    assert not (folder / "checkpoint-00000002.safetensors").exists()
    assert (folder / "checkpoint-00000004.safetensors").exists()


def test_the_weights_are_the_algorithms(folder):
    expected, _ = run(None)
    loaded = load_file(folder / "weights.safetensors")
    assert equal(loaded, dict(bits(expected)))


@pytest.mark.slow
def test_a_run_of_a_version_that_knew_no_other_number_of_ranks_goes_on(folder):
    def earlier(record, tensors):
        record["version"] = 2
        record["identity"]["machine"]["ranks"] = 4
        assert record["position"].pop("ranks") == [1]

    rewritten(last(folder), earlier)
    algorithm, result = run(folder, steps=8)
    assert result.ranks == (4, 1)
    assert equal(bits(algorithm), bits(run(None, steps=8)[0]))


def test_a_finished_run_only_loads(folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    again, result = run(folder, protonet(seed=7))
    assert equal(bits(again), load_file(folder / "weights.safetensors"))
    assert (result.steps, result.stopped) == (6, "steps")
    after = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert {**after, "lock": b""} == {**before, "lock": b""}


def test_a_run_may_be_made_longer(folder):
    longer, result = run(folder, steps=9)
    whole, _ = run(None, steps=9)
    assert equal(bits(longer), bits(whole))
    assert (result.steps, result.stopped) == (9, "steps")
    assert [row[0] for row in read_log(folder)] == list(range(1, 10))
    with pytest.raises(InputError, match="has done 9 steps, and steps=6"):
        run(folder)


def test_a_longer_run_writes_its_checkpoints_where_a_whole_one_does(folder, monkeypatch):
    written, save = [], Checkpoints.save

    def noted(store, tensors, position, identity):
        written.append(position.step)
        save(store, tensors, position, identity)

    monkeypatch.setattr(Checkpoints, "save", noted)
    run(folder, steps=11, checkpoint_every=4)
    assert written == [8, 11]


@pytest.mark.parametrize("cut", [0, 5, 100, 2000, -1])
def test_a_torn_checkpoint_is_refused_by_name(folder, cut):
    path = last(folder)
    path.write_bytes(path.read_bytes()[:cut])
    before = {name: name.read_bytes() for name in folder.iterdir() if name.name != "lock"}
    with pytest.raises(
        ReadError, match=r"checkpoint-00000006\.safetensors .*go on from checkpoint-00000004"
    ) as caught:
        run(folder)
    assert str(path) in str(caught.value)
    assert {name: name.read_bytes() for name in folder.iterdir() if name.name != "lock"} == before
    # What the message says helps.
    path.unlink()
    again, _ = run(folder)
    assert equal(bits(again), bits(run(None)[0]))


def test_a_foreign_file_is_refused_by_name(folder):
    save_file({"weight": torch.zeros(2)}, last(folder))
    with pytest.raises(
        ReadError,
        match=r"checkpoint-00000006\.safetensors is a safetensors file and not a checkpoint",
    ):
        run(folder)


def drop(key):
    return lambda record, tensors: record.pop(key)


def position(**values):
    return lambda record, tensors: record["position"].update(values)


def tensor(name, value):
    def change(record, tensors):
        found = next(key for key in sorted(tensors) if name in key)
        if value is None:
            del tensors[found]
        else:
            tensors[found] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (drop("position"), "a record that cannot be used"),
        (drop("identity"), "a record that cannot be used"),
        (
            lambda record, tensors: record.update(version=4),
            "format version 4; this library reads versions up to 3",
        ),
        (position(step=4), "holds step 4: it was renamed"),
        (position(step="6"), "a record that cannot be used"),
        (position(step=True), "a record that cannot be used"),
        (position(waited=-1), "a record that cannot be used"),
        (position(stopped="tired"), "a record that cannot be used"),
        (position(best_step=7, best_score=1.0), "a record that cannot be used"),
        (position(best_step=2), "a record that cannot be used"),
        (position(history=[[1, 2]]), "a record that cannot be used"),
        (position(ranks=[0]), "a record that cannot be used"),
        (position(history=None), "a record that cannot be used"),
        (position(more=1), "a record that cannot be used"),
        (tensor("model:", None), "lacks the tensor 'model:"),
        (tensor("model:", torch.zeros(3, 1)), r"of shape \(3, 1\) and this run has"),
        (tensor("optimiser:", None), "lacks tensors of the optimiser"),
        (tensor("exp_avg", torch.zeros(3, 1)), r"of shape \(3, 1\) and this run has"),
        (
            lambda record, tensors: tensors.update(extra=torch.zeros(1)),
            "'extra', which this run does not have",
        ),
        (
            lambda record, tensors: tensors.update({"optimiser:nobody:step": torch.zeros(())}),
            "'optimiser:nobody:step', which this run does not have",
        ),
    ],
)
def test_a_spoilt_checkpoint_is_refused_and_moves_nothing(folder, change, said):
    rewritten(last(folder), change)
    algorithm = protonet(seed=7)
    with pytest.raises(ReadError, match=said) as caught:
        run(folder, algorithm, steps=8)
    assert str(last(folder)) in str(caught.value)
    assert equal(bits(algorithm), bits(protonet(seed=7)))


@pytest.mark.slow
@max_examples(24)
@given(place=st.integers(0, 1 << 30), value=st.integers(0, 255))
def test_a_byte_that_is_wrong_is_an_error_of_ours_or_harmless(kept, tmp_path_factory, place, value):
    folder = Path(shutil.copytree(kept, tmp_path_factory.mktemp("byte") / "run"))
    data = bytearray(last(folder).read_bytes())
    head = 8 + int.from_bytes(data[:8], "little")
    data[place % head] = value
    last(folder).write_bytes(bytes(data))
    with suppress(TorchcrossError):
        run(folder)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lr": 0.02}, "other options .*lr was 0.01 and is 0.02"),
        ({"seed": 1, "meta_batch": 4}, "meta_batch was 2 and is 4; seed was 0 and is 1"),
        ({"schedule": "cosine", "steps": 8}, "schedule was 'constant' and is 'cosine'"),
    ],
)
def test_a_run_goes_on_with_the_same_options_only(folder, given, said):
    with pytest.raises(InputError, match=said):
        run(folder, **given)


def test_a_cosine_run_cannot_be_made_longer(tmp_path):
    run(tmp_path, schedule="cosine")
    with pytest.raises(InputError, match="steps was 6 and is 8"):
        run(tmp_path, schedule="cosine", steps=8)


def test_how_a_run_is_kept_may_change(folder):
    longer, _ = run(folder, steps=8, checkpoint_every=5, keep=1, workers=1)
    assert equal(bits(longer), bits(run(None, steps=8)[0]))


def test_a_run_goes_on_with_the_same_algorithm_data_and_machine_only(folder):
    with pytest.raises(InputError, match="another algorithm"):
        run(folder, maml())
    with pytest.raises(InputError, match="another data"):
        run(folder, data=sampler(seed=1))
    with pytest.raises(InputError, match="another machine"):
        run(folder, machine=TorchMachine(precision="bf16-mixed"))
    with pytest.raises(ReadError, match="of another algorithm or backbone"):
        run(folder, ProtoNet(conv4(6, in_channels=1)))


def test_a_log_that_was_cut_is_refused(folder):
    log = folder / "log.csv"
    content, _ = split_hash_line(log, log.read_bytes(), "")
    log.write_bytes(content[:-9])
    with pytest.raises(ReadError, match=r"log\.csv has \d+ bytes and the checkpoint knows \d+"):
        run(folder)


def test_a_folder_of_somebody_else_is_refused(tmp_path):
    (tmp_path / "log.csv").write_text("mine")
    with pytest.raises(InputError, match=r"has a log\.csv and no checkpoint"):
        run(tmp_path)
    assert (tmp_path / "log.csv").read_text() == "mine"


def test_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(WriteError, match="cannot be written"):
        run(tmp_path / "file" / "run")


@pytest.mark.parametrize("when", [1, 3, 5])
def test_a_full_disk_ends_the_run_and_with_room_it_goes_on(when, tmp_path, monkeypatch):
    calls = []

    def full(descriptor):
        calls.append(descriptor)
        if len(calls) >= when:
            raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(WriteError, match=r"No space left on device.*make room"):
            run(tmp_path)
    assert not list(tmp_path.glob("*.part"))
    again, _ = run(tmp_path)
    assert equal(bits(again), bits(run(None)[0]))


HOLD = """
import sys
from contextlib import suppress
from pathlib import Path
from torchcross._kit.lock import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.mark.slow
def test_two_processes_on_one_folder(tmp_path):
    folder = tmp_path / "run"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    ) as other:
        assert other.stdout.readline() == b"held\n"
        with pytest.raises(
            InputError, match=rf"trained in by another process \(number {other.pid}\)"
        ):
            run(folder)
        other.kill()
        other.wait()
    # The kernel let go of it with the process.
    assert run(folder)[1].steps == 6


def test_a_folder_is_held_during_the_run_and_let_go_of_after_an_error(tmp_path):
    seen = []

    def validate(algorithm):
        with pytest.raises(InputError, match="by another process"):
            run(tmp_path)
        seen.append(1)
        raise InputError("enough")

    with pytest.raises(InputError, match="enough"):
        fit(protonet(), sampler(), options(validate_every=2), validate=validate, folder=tmp_path)
    assert seen == [1]
    fit(protonet(), sampler(), options(validate_every=2), validate=magnitude, folder=tmp_path)


def test_a_named_task_with_heads_goes_on(tmp_path):
    """Heads that no batch has trained yet have no optimiser state."""
    run(tmp_path, multi_task(), batches(), steps=1, meta_batch=1)
    names = load_file(tmp_path / "checkpoint-00000001.safetensors")
    optimised = {name.split(":")[1] for name in names if name.startswith("optimiser:")}
    assert optimised < {name for name, _ in multi_task().named_parameters()}
    longer, _ = run(tmp_path, multi_task(), batches(), steps=6, meta_batch=1)
    whole, _ = run(None, multi_task(), batches(), steps=6, meta_batch=1)
    assert equal(bits(longer), bits(whole))
