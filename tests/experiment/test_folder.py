"""What a run's folder remembers: its name, where its rows come from, what failed; and what it
leaves alone.
"""

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.errors import InputError, ReadError, TorchcrossError, WriteError
from torchcross.experiment import RunFolder, run_experiment
from torchcross.experiment.run import provenance, targets
from torchcross.experiment.run.json_files import read_json
from torchcross.experiment.run.provenance import complete_description, contradictions, with_earlier


def plain(folder, name):
    return read_json(folder / name, hashed=True)


def scratch(**changes):
    return toy_experiment(algorithms=["scratch"], shots=[1], **changes)


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("collection")
def test_the_folder_that_one_stands_in_has_a_name_too(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    outcome = run_experiment(scratch(), ".")
    assert outcome.complete
    assert outcome.records.unique("run") == ("here",)


@pytest.mark.usefixtures("collection")
def test_a_run_that_is_renamed_goes_on_under_the_name_of_its_rows(tmp_path):
    first = run_experiment(scratch(), tmp_path / "first")
    (tmp_path / "first").rename(tmp_path / "second")
    next((tmp_path / "second" / "rows").iterdir()).unlink()
    second = run_experiment(scratch(), tmp_path / "second")
    assert second.records == first.records
    assert second.records.unique("run") == ("first",)


# -- where rows come from --------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.usefixtures("collection")
def test_a_run_that_goes_on_elsewhere_names_both_places(tmp_path, monkeypatch):
    found = {"python": "3.11"}
    monkeypatch.setattr(provenance, "surroundings", lambda packages: dict(found))
    run_experiment(scratch(), tmp_path)
    assert "earlier" not in plain(tmp_path, "provenance.json")
    found["python"] = "3.12"
    # Nothing is left to do, so nothing of it comes from here.
    run_experiment(scratch(), tmp_path)
    assert plain(tmp_path, "provenance.json")["python"] == "3.11"
    for version in ("3.12", "3.13", "3.12"):
        found["python"] = version
        next((tmp_path / "rows").iterdir()).unlink()
        run_experiment(scratch(), tmp_path)
    told_now = plain(tmp_path, "provenance.json")
    assert told_now["python"] == "3.12"
    assert told_now["earlier"] == [{"python": "3.11"}, {"python": "3.13"}]


def test_surroundings_are_named_once():
    one, two, data = {"python": "1"}, {"python": "2"}, {"data": {"a": 1}}
    assert with_earlier({**one, **data}, {}) == {**one, **data}
    assert with_earlier({**one, **data}, {**one, **data}) == {**one, **data}
    now = with_earlier({**two, **data}, {**one, **data})
    assert now == {**two, **data, "earlier": [one]}
    assert with_earlier({**two, **data}, now) == now
    assert with_earlier({**one, **data}, now) == {**one, **data, "earlier": [two]}


@pytest.mark.parametrize(
    ("before", "now", "different"),
    [
        ({"a": 1}, {"a": 1}, False),
        ({"a": 1}, {"a": 2}, True),
        ({"a": 1}, {"b": 1}, True),
        ({"a": 1}, {"a": 1, "b": 1}, True),
        ({"a": [1, 2]}, {"a": [2, 1]}, True),
        ({"d": {"x": {"digest": "1"}}}, {"d": {"x": {"unreadable": "gone"}}}, False),
        ({"d": {"x": {"unreadable": "gone"}}}, {"d": {"x": {"digest": "1"}}}, False),
        (
            {"d": {"x": {"unreadable": "a"}, "y": 1}},
            {"d": {"x": {"unreadable": "b"}, "y": 2}},
            True,
        ),
        ({"unreadable": "all of it"}, {"a": 1}, False),
    ],
)
def test_what_cannot_be_read_contradicts_nothing(before, now, different):
    assert bool(list(contradictions(before, now))) is different


def test_what_was_known_is_kept_while_it_cannot_be_read():
    gone, whole, both = (
        {"unreadable": "gone"},
        {"digest": "1"},
        {"x": {"digest": "1"}, "y": {"digest": "2"}},
    )
    assert complete_description(gone, whole) == whole
    assert complete_description(whole, gone) == whole
    assert complete_description(gone, {"unreadable": "before"}) == gone
    assert complete_description({"x": gone, "y": {"digest": "2"}}, both) == both
    assert complete_description({"x": gone, "y": {"digest": "2"}}, {}) == {
        "x": gone,
        "y": {"digest": "2"},
    }


def test_data_that_cannot_be_described_stop_nobody_who_does_without(
    collection, tmp_path, monkeypatch
):
    def unreadable():
        raise ReadError("labels of one of them are damaged")

    monkeypatch.setattr(collection, "describe", unreadable)
    assert run_experiment(scratch(), tmp_path).complete
    before = plain(tmp_path, "provenance.json")
    assert before["data"] == {"unreadable": "labels of one of them are damaged"}
    monkeypatch.setattr(collection, "describe", lambda: {"fingerprint": "whole again"})
    assert run_experiment(scratch(), tmp_path).complete
    assert plain(tmp_path, "provenance.json") == {**before, "data": {"fingerprint": "whole again"}}


def test_of_what_decides_no_row_the_last_word_counts(collection, tmp_path, monkeypatch):
    first = run_experiment(scratch(), tmp_path)
    changed = {"evaluation.metric": "accuracy", "data.folder": "elsewhere"}
    again = run_experiment(scratch(**changed), tmp_path)
    assert again.records == first.records
    experiment = plain(tmp_path, "experiment.json")
    assert experiment["experiment"]["evaluation"]["metric"] == "accuracy"
    assert experiment["experiment"]["data"]["folder"] == "elsewhere"
    monkeypatch.setattr(collection, "describe", lambda: {"fingerprint": "another"})
    with pytest.raises(InputError, match="rows of other data"):
        run_experiment(scratch(), tmp_path)
    assert plain(tmp_path, "experiment.json") == experiment, "who is refused changes nothing"


# -- what failed -----------------------------------------------------------------------------------


@pytest.mark.long
@pytest.mark.parametrize(
    "content", ['{"failures": 3}', '{"failures": [{"reason": "one"}]}', "[]", "{"]
)
def test_failures_that_were_changed_by_hand_are_refused(collection, tmp_path, content):
    run_experiment(scratch(), tmp_path)
    (tmp_path / "failures.json").write_text(content)
    with pytest.raises(TorchcrossError, match=r"failures\.json"):
        run_experiment(scratch(), tmp_path)


@pytest.mark.long
@pytest.mark.usefixtures("collection")
def test_targets_that_share_a_training_are_told_by_the_first(tmp_path, monkeypatch):
    """Also when the run goes on behind it."""
    same = targets.open_collection("", "", channels=1).sources("hole", split="train", tasks="all")[
        :1
    ]
    kind = type(targets.open_collection("", "", channels=1))
    monkeypatch.setattr(kind, "sources", lambda self, target, *, split, tasks: same)
    run_experiment(toy_experiment(algorithms=["protonet"], shots=[1]), tmp_path)
    name = next((tmp_path / "train").iterdir()).name
    before = plain(tmp_path, f"train/{name}/training.json")
    assert before["target"] == "hole"
    for path in (tmp_path / "rows").glob("*.csv"):
        if "specks" in path.read_text(encoding="utf-8"):
            path.unlink()
    run_experiment(toy_experiment(algorithms=["protonet"], shots=[1]), tmp_path)
    assert [path.name for path in (tmp_path / "train").iterdir()] == [name]
    assert plain(tmp_path, f"train/{name}/training.json") == before


# -- what is left alone ----------------------------------------------------------------------------


@pytest.mark.usefixtures("collection")
def test_only_our_own_unfinished_files_are_removed(tmp_path):
    run_experiment(scratch(), tmp_path)
    ours = [tmp_path / "failures.json.12.part", tmp_path / "rows" / "x.csv.3.part"]
    theirs = [tmp_path / "film.part", tmp_path / "rows" / "x.part.zip"]
    for path in (*ours, *theirs):
        path.write_text("half")
    run_experiment(scratch(), tmp_path)
    assert not any(path.exists() for path in ours)
    assert all(path.exists() for path in theirs)


@pytest.mark.parametrize("name", ["experiment.json.12.part", "lock"])
@pytest.mark.usefixtures("collection")
def test_what_a_run_leaves_that_is_killed_at_once_is_no_other_folder(tmp_path, name):
    (tmp_path / name).write_text("")
    assert run_experiment(scratch(), tmp_path).complete


@pytest.mark.parametrize(
    "name", ["experiment.json.part", "experiment.json.old", "other.json.12.part", "x"]
)
@pytest.mark.usefixtures("collection")
def test_files_of_others_are_refused(tmp_path, name):
    (tmp_path / name).write_text("")
    with pytest.raises(InputError, match="holds no run"):
        run_experiment(scratch(), tmp_path)


@pytest.mark.usefixtures("collection")
def test_a_folder_that_takes_no_folders_is_an_error_that_names_it(tmp_path):
    run_experiment(scratch(), tmp_path)
    (tmp_path / "examples").rename(tmp_path / "moved")
    (tmp_path / "examples").write_text("in the way")
    with pytest.raises(WriteError, match="cannot be written to"):
        run_experiment(scratch(), tmp_path)
    assert RunFolder(tmp_path).name == tmp_path.name


@pytest.mark.usefixtures("collection")
def test_a_wrong_folder_is_refused_before_anything_is_written_there(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    (tmp_path / "lock").write_text("")
    with pytest.raises(InputError, match="holds no run"):
        run_experiment(scratch(), tmp_path)
    assert (tmp_path / "lock").read_text() == ""
    (tmp_path / "lock").unlink()
    with pytest.raises(InputError, match="holds no run"):
        run_experiment(scratch(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
