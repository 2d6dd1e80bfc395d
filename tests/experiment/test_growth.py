"""A run's folder takes further algorithms, seeds, targets and shots; what is there is kept."""

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross.errors import InputError
from torchcross.experiment import run_experiment, verify_run, write_page
from torchcross.experiment.run.folder import RunFolder
from torchcross.experiment.run.growth import changes_beyond_growth, describe_change
from torchcross.experiment.run.identity import decisive_settings
from torchcross.experiment.run.run_plan import plan_run


def small(**changes):
    plain = {"algorithms": ["scratch"], "shots": [2], "data.targets": ["hole"]}
    return toy_experiment(**{**plain, "evaluation.episodes": 2, **changes})


LARGER = {
    "algorithms": ["image-statistics", "scratch"],
    "shots": [1, 2],
    "seeds": [0, 1],
    "data.targets": ["hole", "specks"],
}


def rows(folder):
    return {path.name: path.read_bytes() for path in (folder / "rows").iterdir()}


@pytest.mark.long
@pytest.mark.usefixtures("collection")
def test_what_is_there_is_kept_and_the_rest_is_as_in_a_fresh_run(tmp_path):
    grown, fresh = tmp_path / "grown" / "run", tmp_path / "fresh" / "run"
    assert run_experiment(small(), grown).complete
    before = rows(grown)
    seen = {}
    for name, value in LARGER.items():
        seen[name] = value
        assert run_experiment(small(**seen), grown).complete
        assert rows(grown).items() >= before.items(), name
    assert run_experiment(small(**LARGER), fresh).complete
    assert rows(grown) == rows(fresh)
    assert verify_run(grown).holds
    write_page(grown)
    assert "image-statistics" in (grown / "table.md").read_text()
    with pytest.raises(
        InputError,
        match=r"algorithms: the run has .*, and these settings .*, and image-statistics is missing",
    ):
        run_experiment(small(), grown)


@pytest.mark.parametrize(
    ("name", "before", "now"),
    [
        ("algorithms", ["scratch", "mm-pt"], ["mm-pt"]),
        ("seeds", [0], [1, 0]),
        ("shots", [1, 5], [1, 3, 5]),
        ("shots", [1], [1, 5]),
        ("data.targets", [], ["hole"]),
        ("data.targets", ["hole"], ["specks"]),
        ("meta.lr", 0.1, 0.2),
    ],
)
def test_what_would_change_rows_is_no_growth(name, before, now):
    settings = (decisive_settings(small(**{name: value})) for value in (before, now))
    assert list(changes_beyond_growth(*settings)) == [name]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"algorithms": ["scratch"]},
            "algorithms: the run has ['scratch', 'mm-pt'], and these settings ['scratch'], and"
            " mm-pt is missing (algorithms can be added, and none left out)",
        ),
        (
            {"shots": [5]},
            "shots: the run has [1], and these settings [5], and 1 is missing (numbers can be added"
            " below the smallest one, and none left out: a smaller support may be drawn",
        ),
        (
            {"shots": [1, 3]},
            "shots: the run has [1], and these settings [1, 3] (numbers can be added below the"
            " smallest one",
        ),
        (
            {"evaluation.episodes": 20},
            "evaluation.episodes: the run has 2, and these settings 20 (a run keeps",
        ),
        (
            {"data.targets": ["specks"]},
            "data.targets: the run has ['hole'], and these settings ['specks'], and hole is",
        ),
    ],
)
@pytest.mark.usefixtures("collection")
def test_a_folder_of_another_experiment_says_what_differs(tmp_path, changes, said):
    before = small(algorithms=["scratch", "mm-pt"], shots=[1])
    RunFolder.begin(tmp_path / "run", before)
    after = small(**{"algorithms": ["scratch", "mm-pt"], "shots": [1], **changes})
    with pytest.raises(InputError) as refusal:
        RunFolder.begin(tmp_path / "run", after)
    assert said in str(refusal.value)
    assert "remove" not in str(refusal.value)


@pytest.mark.usefixtures("collection")
def test_a_target_that_is_not_there_is_named_before_the_folder_is_compared(tmp_path):
    RunFolder.begin(tmp_path / "run", small())
    with pytest.raises(InputError, match="there is no target 'holes'"):
        plan_run(small(**{"data.targets": ["holes"]}), tmp_path / "run", [1])


def test_a_target_that_stands_twice_is_refused():
    with pytest.raises(InputError, match=r"data.targets=\['hole', 'hole'\] names one twice"):
        small(**{"data.targets": ["hole", "hole"]})


@pytest.mark.parametrize(
    ("name", "before", "now"),
    [
        ("algorithms", ["scratch"], ["mm-pt", "scratch"]),
        ("seeds", [0], [0, 3]),
        ("shots", [5], [1, 5]),
        ("data.targets", ["hole"], []),
    ],
)
def test_what_only_adds_cells_is_growth(name, before, now):
    settings = (decisive_settings(small(**{name: value})) for value in (before, now))
    assert list(changes_beyond_growth(*settings)) == []


def test_plugins_that_are_all_missing_are_not_listed_twice():
    said = describe_change("plugins", {"plugins": ["1f", "2e"]}, {}, {"1f": "mine.py"})
    assert said.startswith(
        "plugins: mine.py (SHA-256 1f) of the run is missing; a plugin file (SHA-256 2e) of the run"
        " is missing (files can be added"
    )


def test_a_plugin_with_another_content_is_named():
    before, now = "a" * 64, "b" * 64
    names = {before: "mine.py", now: "mine.py"}
    said = describe_change("plugins", {"plugins": [before]}, {"plugins": [now]}, names)
    assert said.startswith(
        f"plugins: mine.py has another content than the run's (SHA-256 {'b' * 12}, the run's"
        f" {'a' * 12}) (files can be added, and none changed"
    )


@pytest.mark.usefixtures("collection")
def test_each_setting_has_a_line_and_single_values_come_first(tmp_path):
    RunFolder.begin(tmp_path / "run", small(algorithms=["scratch", "mm-pt"]))
    names = ("steps", "meta_batch", "queries", "min_images", "inner_steps", "patience")
    many = {f"meta.{name}": 7 for name in names}
    rates = dict.fromkeys(("meta.lr", "meta.inner_lr", "pretraining.lr"), 7.0)
    after = small(**many, **rates, **{"evaluation.steps": 7})
    with pytest.raises(InputError) as refusal:
        RunFolder.begin(tmp_path / "run", after)
    first, *lines = str(refusal.value).splitlines()
    assert first == f"{tmp_path / 'run'} holds a run of another experiment:"
    assert len(lines) == 12
    assert lines[0].startswith("- evaluation.steps: the run has 1, and these settings 7")
    assert lines[10] == "- 1 more setting"
    assert not any("algorithms" in line for line in lines), "a list comes behind single values"
    assert lines[11] == (
        f"{tmp_path / 'run' / 'experiment.json'} has all settings of that run. Give them, or --out"
        " another folder"
    )
