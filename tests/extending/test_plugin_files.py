"""Which plugin files were loaded is known, and one that fails leaves nothing behind."""

from __future__ import annotations

import sys

import pytest

from tests.experiment.conftest import toy_experiment
from torchcross._kit.plugin_files import PluginFile, changed_plugins
from torchcross.backbones import add_backbone
from torchcross.backbones.build import CONSTRUCTORS
from torchcross.errors import InputError
from torchcross.experiment import METHODS, Method, add_row, load_plugin
from torchcross.experiment.run.identity import identity
from torchcross.experiment.run.recorded_plugins import recorded_plugins
from torchcross.targets import MultiClass, add_loss, add_target
from torchcross.targets.added import TARGETS

OWN = MultiClass.objectives["cross_entropy"]

ADDITIONS = """
from torch import nn
from torchcross.backbones import add_backbone
from torchcross.experiment import Method, add_row
from torchcross.targets import MultiClass, add_loss, add_target
from dataclasses import replace

own = MultiClass.objectives["cross_entropy"]
add_row(Method("mine", "a row", make_learner=lambda *a, **k: None))
add_backbone("mine", lambda in_channels=3: nn.Flatten())
add_target(type("Mine", (MultiClass,), {"kind": "mine"}))
add_loss("mine", replace(own, loss=lambda *a, **k: own.loss(*a, **k)), [MultiClass])
"""


def write_twins(folder):
    """Two plugin files of one name."""
    for place in ("one", "two"):
        (folder / place).mkdir()
        (folder / place / "x.py").write_text(f"PLACE = {place!r}\n")
    return [folder / place / "x.py" for place in ("one", "two")]


def test_two_files_of_one_name_both_decide_what_a_run_is(tmp_path, registries):
    twins = write_twins(tmp_path)
    first, second = map(str, twins)
    experiment = toy_experiment(plugins=[first, second])
    before = identity(experiment)
    assert before == identity(toy_experiment(plugins=[second, first, second]))
    for twin in twins:
        registries()
        twin.write_text(f"{twin.read_text()}# changed\n")
        after = identity(experiment)
        assert after != before, twin
        before = after


def test_provenance_of_earlier_versions_is_read():
    assert recorded_plugins({"plugins": {"x.py": "abc"}}) == [("x.py", "abc")]
    (known,) = recorded_plugins({"plugins": [{"name": "x.py", "sha256": "abc"}]})
    assert (known.name, known.sha256) == ("x.py", "abc")


def test_a_copy_that_changes_is_noticed(tmp_path, registries):
    first, second = write_twins(tmp_path)
    load_plugin(first)
    (tmp_path / "two" / "x.py").write_bytes((tmp_path / "one" / "x.py").read_bytes())
    load_plugin(second)
    (tmp_path / "two" / "x.py").write_text("PLACE = 2\n")
    with pytest.raises(InputError, match="has changed since this process loaded it"):
        load_plugin(second)


def test_a_plugin_of_another_name_has_not_changed(tmp_path, registries):
    path, _ = write_twins(tmp_path)
    same, changed, missing = load_plugin(path), "1f", "2e"
    plugins = [PluginFile("x.py", same), PluginFile("x.py", changed), PluginFile("y.py", missing)]
    assert changed_plugins(plugins) == [PluginFile("x.py", changed)]


@pytest.mark.parametrize("end", ["import sys\nsys.exit(0)", "exit()", "raise SystemExit"])
def test_a_plugin_that_ends_the_program_is_an_error(tmp_path, registries, end):
    path = tmp_path / "bad.py"
    path.write_text(end)
    modules = set(sys.modules)
    with pytest.raises(InputError, match=r"bad\.py ends the program when it is loaded"):
        load_plugin(path)
    assert set(sys.modules) == modules


def test_ctrl_c_in_a_plugin_stays_what_it_is(tmp_path, registries):
    path = tmp_path / "bad.py"
    path.write_text(ADDITIONS + "raise KeyboardInterrupt")
    modules = set(sys.modules)
    with pytest.raises(KeyboardInterrupt):
        load_plugin(path)
    assert set(sys.modules) == modules
    assert "mine" not in METHODS


def test_a_plugin_that_fails_late_leaves_nothing_and_can_be_mended(tmp_path, registries):
    path = tmp_path / "late.py"
    path.write_text(ADDITIONS + "1 / 0\n")
    for _ in range(2):
        with pytest.raises(InputError, match="ZeroDivisionError"):
            load_plugin(path)
        assert not any("mine" in each for each in (METHODS, CONSTRUCTORS, TARGETS))
        assert "mine" not in MultiClass.objectives
    path.write_text(ADDITIONS)
    load_plugin(path)
    assert all("mine" in each for each in (METHODS, CONSTRUCTORS, TARGETS))
    assert "mine" in MultiClass.objectives


def test_what_a_failed_plugin_added_twice_does_not_stay(tmp_path, registries):
    path = tmp_path / "twice.py"
    row = "add_row(Method('mine', 'a row'))\n"
    path.write_text(f"from torchcross.experiment import Method, add_row\n{row}{row}1 / 0\n")
    with pytest.raises(InputError, match="ZeroDivisionError"):
        load_plugin(path)
    assert "mine" not in METHODS


def test_what_was_there_before_a_plugin_failed_stays(tmp_path, registries):
    row = add_row(Method("before", "a row"))
    inner = tmp_path / "inner.py"
    inner.write_text("from torchcross.experiment import *\nadd_row(Method('inner', 'a row'))\n")
    path = tmp_path / "outer.py"
    path.write_text(
        "from torchcross.experiment import Method, add_row, load_plugin\n"
        f"add_row(Method('before', 'a row'))\nload_plugin({str(inner)!r})\n1 / 0\n"
    )
    with pytest.raises(InputError, match="ZeroDivisionError"):
        load_plugin(path)
    assert METHODS["before"] is row
    assert "inner" in METHODS, "the plugin that it loaded is loaded"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: add_row("x"), r"takes a torchcross\.experiment\.Method and got 'x'"),
        (lambda: add_row(Method("", "")), "a row cannot be called ''"),
        (lambda: add_row(Method(" x", "")), "a row cannot be called ' x'"),
        (lambda: add_row(Method(3, "x")), "a row cannot be called 3"),
        (lambda: add_row(Method("x", 3)), "described by 3; give a text"),
        (lambda: add_backbone(3, lambda: None), "a backbone cannot be called 3"),
        (lambda: add_backbone("", lambda: None), "a backbone cannot be called ''"),
        (lambda: add_target(3), "give a subclass of Target"),
        (lambda: add_target(type("Own", (MultiClass,), {"kind": ""})), "cannot be called ''"),
        (lambda: add_loss("h", OWN, []), r"'h' is for the targets \(\); give one class"),
        (lambda: add_loss("h", OWN, MultiClass), "is for the targets <class"),
        (lambda: add_loss("h", OWN, [int]), "give one class of targets or more"),
        (lambda: add_loss("", OWN, [MultiClass]), "a loss cannot be called ''"),
        (lambda: add_loss(3, OWN, [MultiClass]), "a loss cannot be called 3"),
        (lambda: add_loss([], OWN, [MultiClass]), r"a loss cannot be called \[\]"),
    ],
)
def test_additions_of_wrong_types_are_refused_in_words(registries, call, words):
    with pytest.raises(InputError, match=words):
        call()
