"""Files of predictions: compact, the same bytes each time, and nothing else is believed."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from torchcross._kit import tensor_files
from torchcross.errors import DamageError, InputError, ReadError
from torchcross.experiment.run.cell_parts import _join_predictions
from torchcross.records import Predictions, read_predictions
from torchcross.records.prediction_files import FORMAT, read_hashed_predictions
from torchcross.report.prediction_sets import prediction_set_tables
from torchcross.statistics import set_values
from torchcross.targets import MultiClass, MultiLabel
from torchcross.task import Task


def sample(**change):
    fields = {
        "source": "oct/disease class",
        "task": Task("disease class", MultiClass({4: "drusen", 7: "none"}), "oct"),
        "algorithm": "protonet",
        "shots": 5,
        "seed": 1,
        "episodes": [0, 2],
        "sizes": [1, 2],
        "images": [40_000, 0, 300],
        "labels": [0, 1, -1],
        "log_odds": np.array([[1.5, -1.5], [0, 0], [-np.inf, np.inf]]).clip(-9, 9),
        "decisions": [0, 1, 1],
        "subjects": [0, 1, 1],
        "split": "test",
    }
    return Predictions(**{**fields, **change})


def plain(predictions):
    return {
        name: value.tolist() if isinstance(value, np.ndarray) else value
        for name in Predictions.__slots__
        if name != "_ends"
        for value in [getattr(predictions, name)]
    }


EMPTY = {
    **{name: [] for name in ("episodes", "sizes", "images", "labels", "decisions", "subjects")},
    "log_odds": np.zeros((0, 2)),
}


@pytest.mark.parametrize("change", [{}, {"subjects": None}, EMPTY])
def test_what_is_written_is_read_again(change, tmp_path):
    made = sample(**change)
    first = made.write(tmp_path / "one.safetensors")
    second = made.write(tmp_path / "two.safetensors")
    assert first.read_bytes() == second.read_bytes()
    again, has_hash = read_hashed_predictions(first)
    assert has_hash
    assert plain(again) == plain(made)
    assert not again.images.flags.writeable


def test_labels_of_several_answers_keep_their_shape(tmp_path):
    labels = [[0, 1, -1], [1, 1, 0], [0, 0, 0]]
    task = Task("signs", MultiLabel(["a", "b", "c"]))
    made = sample(task=task, labels=labels, decisions=[[0, 0, 1]] * 3, log_odds=np.zeros((3, 3)))
    assert plain(read_predictions(made.write(tmp_path / "one.safetensors"))) == plain(made)


def test_a_row_of_a_binary_question_takes_few_bytes(tmp_path):
    rows = 10_000
    made = sample(
        episodes=range(100),
        sizes=[100] * 100,
        images=np.arange(rows) * 10,
        labels=np.zeros(rows, dtype=int),
        decisions=np.zeros(rows, dtype=int),
        log_odds=np.zeros((rows, 2), dtype=np.float32),
        subjects=None,
    )
    # Two log-odds, the number of the image, a label, a decision.
    assert made.write(tmp_path / "one.safetensors").stat().st_size < rows * (8 + 4 + 1 + 1) + 2_000


# -- files that are not believed -------------------------------------------------------------------


def test_a_flipped_byte_is_noticed(tmp_path):
    path = sample().write(tmp_path / "one.safetensors")
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[place] ^= 1
        path.write_bytes(bytes(flipped))
        with pytest.raises(ReadError, match=r"one\.safetensors"):
            read_hashed_predictions(path, hashed=True)


def test_a_lost_hash_is_noticed_where_there_must_be_one(tmp_path):
    path = rewritten(tmp_path, {})
    assert read_predictions(path).rows == 3
    with pytest.raises(DamageError, match="its content hash is gone"):
        read_hashed_predictions(path, hashed=True)


def rewritten(folder, changes, record=lambda values: values):
    """A file of another program: other tensors, another record, no hash."""
    from safetensors.torch import save_file

    path = sample().write(folder / "one.safetensors")
    tensors, metadata = tensor_files.read(path)
    tensors |= changes
    values = record(json.loads(metadata[FORMAT]))
    text = values if isinstance(values, str) else json.dumps(values)
    kept = {name: value for name, value in tensors.items() if value is not None}
    save_file(kept, path, {FORMAT: text})
    return path


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"images": None}, "holds the tensors"),
        ({"more": torch.zeros(1)}, "holds the tensors"),
        ({"images": torch.zeros(4, dtype=torch.int64)}, "no file of predictions: .* add up to 3"),
        ({"labels": torch.tensor([0, 1, 5])}, "labels lie in 0..5"),
        ({"log_odds": torch.zeros(3, 2, dtype=torch.bfloat16)}, "no file of predictions"),
        ({"log_odds": torch.full((3, 2), torch.inf)}, "infinite"),
    ],
)
def test_other_tensors_are_refused(changes, said, tmp_path):
    with pytest.raises(ReadError, match=said):
        read_predictions(rewritten(tmp_path, changes))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (lambda values: "{", "no JSON"),
        (lambda values: "[" * 100_000, "no JSON"),
        (lambda values: [1], "format version None"),
        (lambda values: {**values, "version": 3}, "reads those up to 2; update torchcross"),
        (lambda values: {**values, "seed": True}, "no usable seed"),
        (lambda values: {**values, "task": [1]}, "no usable task"),
        (lambda values: {**values, "task": {**values["task"], "kind": 3}}, "no usable kind"),
        (lambda values: {**values, "task": {**values["task"], "kind": "odd"}}, "type 'odd'"),
        (lambda values: {**values, "task": {**values["task"], "classes": [1, 2]}}, "class name"),
        (lambda values: {**values, "task": {**values["task"], "values": [[], []]}}, "unhashable"),
        (lambda values: {**values, "shots": -1}, "shots=-1"),
    ],
)
def test_other_records_are_refused(record, said, tmp_path):
    with pytest.raises(ReadError, match=said):
        read_predictions(rewritten(tmp_path, {}, record))


def test_a_file_of_something_else_is_named(tmp_path):
    tensor_files.write(tmp_path / "one.safetensors", {"a": torch.zeros(1)}, {})
    with pytest.raises(ReadError, match="holds no predictions; give a file of the folder"):
        read_predictions(tmp_path / "one.safetensors")
    with pytest.raises(ReadError, match=r"gone\.safetensors cannot be read"):
        read_predictions(tmp_path / "gone.safetensors")
    with pytest.raises(InputError, match="unknown ending"):
        sample().write(tmp_path / "one.csv")


def test_why_there_are_no_sets_is_kept(tmp_path):
    path = sample(sets_absent="episode 2: one sample").write(tmp_path / "one.safetensors")
    assert read_predictions(path).sets_absent == "episode 2: one sample"
    tensors, metadata = tensor_files.read(path)
    assert json.loads(metadata[FORMAT])["version"] == 1
    record = json.loads(metadata[FORMAT]) | {"sets_absent": 0}
    tensor_files.write(path, tensors, {FORMAT: json.dumps(record)})
    with pytest.raises(ReadError, match="sets_absent is 0; give a string"):
        read_predictions(path)


def test_values_of_sets_and_their_table_say_why_there_are_none():
    (value,) = filter(None, [set_values([sample(), sample(seed=2, sets_absent="one sample")])])
    assert value.absent == "one sample"
    (table,) = prediction_set_tables([value], "split", 0.9)
    assert [column.name for column in table.columns][-1] == "without sets"
    *_, coverage, size, _, reason = table.rows[0]
    assert (coverage.text, size.text, reason) == ("none", "none", "one sample")
    assert set_values([sample()]) is None


SETS = [[True, False], [False, True], [True, True]]


def test_a_label_that_is_missing_counts_in_no_set():
    values = set_values([sample(sets=SETS)])
    assert (values.coverage.mean, values.size.mean) == (1.0, 1.0)


def test_an_episode_of_one_training_seed_counts_as_one_of_two():
    one = {"episodes": [0], "sizes": [1], "images": [1], "labels": [0], "log_odds": [[1.5, -1.5]]}
    alone = sample(seed=2, **one, decisions=[0], subjects=[0], sets=[[False, False]])
    values = set_values([sample(sets=SETS), alone])
    assert values.coverage.mean == (0.5 + 1.0) / 2
    assert set_values([sample(sets=SETS), sample(seed=2)]) is None


def test_parts_of_a_cell_keep_the_first_reason():
    parts = [sample(sets_absent=text, episodes=[n, n + 1]) for n, text in ((0, ""), (5, "small"))]
    assert _join_predictions(parts).sets_absent == "small"
