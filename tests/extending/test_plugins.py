"""Rows, backbones, targets and losses of one's own, in a file or by entry points."""

from __future__ import annotations

import json
import sys

import pytest
import torch

from tests.command_line import refused, run
from tests.experiment.conftest import toy_experiment
from tests.experiment.small import prepare
from torchcross import backbones
from torchcross.errors import InputError, TargetError
from torchcross.experiment import (
    METHODS,
    Method,
    add_row,
    load_plugin,
    open_run,
    run_experiment,
    write_page,
)
from torchcross.experiment.run.experiment_job import with_absolute_paths
from torchcross.experiment.run.identity import identity
from torchcross.targets import MultiClass


def own_experiment(plugin, **changes):
    return toy_experiment(
        **{
            "algorithms": ["my-ridge", "scratch"],
            "shots": [1],
            "data.targets": ["shape"],
            "plugins": [str(plugin)],
            "evaluation.episodes": 2,
            **changes,
        },
    )


@pytest.mark.slow
@pytest.mark.usefixtures("collection")
def test_a_row_of_a_plugin_is_a_row_like_ours(plugin, tmp_path):
    folder = tmp_path / "run"
    outcome = run_experiment(own_experiment(plugin), folder)
    assert outcome.complete
    assert set(outcome.records.columns["algorithm"].tolist()) == {"my-ridge", "scratch"}
    write_page(folder)
    assert "my-ridge" in (folder / "table.md").read_text()
    assert "my own ridge" in (folder / "report.html").read_text(encoding="utf-8")
    provenance = json.loads((folder / "provenance.json").read_text())
    (recorded,) = provenance["plugins"]
    assert open_run(folder).algorithm("my-ridge").row == "my-ridge"
    digest = load_plugin(plugin)
    plugin.write_text(plugin.read_text() + "\n# changed\n")
    with pytest.raises(InputError, match="has changed since this process loaded it"):
        run_experiment(own_experiment(plugin), folder)
    assert recorded == {"name": "mine.py", "sha256": digest}


@pytest.mark.slow
@pytest.mark.usefixtures("collection")
def test_a_run_does_not_go_on_with_another_plugin(plugin, tmp_path, registries):
    folder = tmp_path / "run"
    assert run_experiment(own_experiment(plugin), folder).complete
    # As a new process sees it.
    other = plugin.with_name("other.py")
    other.write_text("from torchcross.experiment import METHODS\n")
    with pytest.raises(
        InputError, match=r"plugins: mine\.py \(SHA-256 \w{12}\) of the run is missing"
    ):
        run_experiment(own_experiment(other), folder)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = elsewhere / "renamed.py"
    moved.write_bytes(plugin.read_bytes())
    assert run_experiment(own_experiment(moved), folder).complete, "the content counts"


@pytest.mark.slow
@pytest.mark.usefixtures("collection")
def test_a_finished_run_takes_a_row_of_a_plugin_and_keeps_its_rows(plugin, tmp_path, registries):
    folder = tmp_path / "run"
    plain = own_experiment(plugin, algorithms=["scratch"], plugins=[])
    assert run_experiment(plain, folder).complete
    rows = {path.name: path.read_bytes() for path in (folder / "rows").iterdir()}
    outcome = run_experiment(own_experiment(plugin, algorithms=["scratch", "my-ridge"]), folder)
    assert outcome.complete
    assert set(outcome.records.columns["algorithm"].tolist()) == {"my-ridge", "scratch"}
    now = {path.name: path.read_bytes() for path in (folder / "rows").iterdir()}
    assert len(now) > len(rows)
    assert rows == {name: now[name] for name in rows}
    recorded = json.loads((folder / "provenance.json").read_text())["plugins"]
    assert [each["name"] for each in recorded] == ["mine.py"]
    again = run_experiment(own_experiment(plugin, algorithms=["scratch", "my-ridge"]), folder)
    assert again.complete
    with pytest.raises(
        InputError, match=r"algorithms: the run has .*\['scratch'\], and my-ridge is missing"
    ):
        run_experiment(plain, folder)
    second = plugin.with_name("second.py")
    second.write_text("from torchcross.experiment import METHODS\n")
    both = own_experiment(
        plugin, algorithms=["scratch", "my-ridge"], plugins=[str(plugin), str(second)]
    )
    assert run_experiment(both, folder).complete, "a further file is taken too"


BROKEN = """
from torchcross.algorithms import ProtoNet
from torchcross.experiment import Method, add_row


class Renamed(ProtoNet):
    def head_fit(self, target):
        return lambda features, own, data: {"head.means": features}


class Careless(ProtoNet):
    def head_fit(self, target):
        return lambda features, own, data: 1 / 0


for kind in (Renamed, Careless):
    add_row(
        Method(
            kind.__name__.lower(),
            "broken",
            make_adapter=lambda net, normalise, settings, kind=kind: kind(net, norm="frozen"),
        )
    )
"""


@pytest.mark.usefixtures("collection")
def test_a_row_with_broken_code_says_what_checks_it(plugin, registries, tmp_path):
    plugin.write_text(BROKEN)
    said = []
    rows = ["renamed", "careless"]
    experiment = own_experiment(plugin, algorithms=rows)
    assert not run_experiment(experiment, tmp_path / "run", say=said.append).complete
    renamed, careless = (
        next(line for line in said if line.startswith(f"failed: {row} ")) for row in rows
    )
    assert "a head of the form 'euclidean' needs 'head.prototypes', and this one has" in renamed
    assert "'head.means'" in renamed
    assert "ZeroDivisionError" in careless
    for line in (renamed, careless):
        assert line.count("`torchcross.testing.check_algorithm` checks") == 1


def test_settings_know_the_file_and_workers_find_it(plugin, monkeypatch):
    monkeypatch.chdir(plugin.parent)
    experiment = own_experiment(plugin.name)
    assert with_absolute_paths(experiment).plugins == (str(plugin),)
    assert identity(experiment) == identity(own_experiment(plugin))
    assert identity(experiment) != identity(own_experiment(plugin, plugins=[]))


def test_a_plugin_that_fails_is_named(plugin):
    for text, words in (
        ("1 / 0", "ZeroDivisionError"),
        ("import torchcross_that_is_not_there", "ModuleNotFoundError"),
        ("def f(:", "SyntaxError"),
    ):
        bad = plugin.with_name("bad.py")
        bad.write_text(text)
        with pytest.raises(InputError, match=rf"plugin .*bad\.py cannot be loaded: {words}"):
            load_plugin(bad)
    bad.write_text(
        "from torchcross.experiment import Method, add_row\nadd_row(Method('ncm', 'mine'))"
    )
    with pytest.raises(InputError, match=r"bad\.py: the row 'ncm' is of the library"):
        load_plugin(bad)


def test_a_backbone_and_a_loss_of_a_plugin(plugin):
    load_plugin(plugin)
    load_plugin(plugin)
    spec = {"name": "means_net", "options": {"in_channels": 1}}
    before = torch.get_rng_state()
    first, second = (backbones.build(spec, seed=0) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    assert first.num_features == 5
    images = torch.rand(3, 1, 8, 8)
    assert torch.equal(first(images), second(images)), "its draws are those of the seed"
    again = backbones.build(first.spec, seed=1)
    assert not torch.equal(again(images), first(images))
    target = MultiClass(["a", "b"], loss="doubled")
    logits, labels = torch.randn(4, 2), torch.tensor([0, 1, 1, 0])
    plain = MultiClass(["a", "b"]).loss(logits, labels)
    torch.testing.assert_close(target.loss(logits, labels), 2 * plain)


def test_a_name_without_its_plugin_says_how_to_give_it(registries):
    with pytest.raises(InputError, match="--plugin FILE"):
        METHODS["my-ridge"]
    with pytest.raises(TargetError, match="has no loss 'doubled'"):
        MultiClass(["a", "b"], loss="doubled")
    with pytest.raises(InputError, match="no backbone is called"):
        backbones.build({"name": "means_net"})


def test_what_is_no_row_is_refused(registries):
    with pytest.raises(InputError, match=r"give a torchcross\.experiment\.Method"):
        METHODS.add("mine", lambda net: net)
    with pytest.raises(InputError, match="without '@' and commas"):
        add_row(Method("a @ b", "mine"))
    with pytest.raises(InputError, match=r"has 'meta\.iner_lr' in ignores.* 'meta\.inner_lr'\?"):
        add_row(Method("mine", "my row", ignores=("meta.iner_lr",)))
    with pytest.raises(InputError, match=r"give a tuple of names of settings"):
        add_row(Method("mine", "my row", ignores="meta.inner_lr"))  # type: ignore[arg-type]
    add_row(Method("mine", "my row"))
    add_row(Method("mine", "my row"))
    with pytest.raises(InputError, match="'mine' is added already"):
        add_row(Method("mine", "another"))


@pytest.fixture
def made(plugin, registries, tmp_path):
    """A run with a row of a plugin, as another process sees it."""
    folder = tmp_path / "run"
    assert run_experiment(own_experiment(plugin), folder).complete
    registries()
    return folder


@pytest.mark.slow
@pytest.mark.usefixtures("collection")
def test_commands_without_the_plugin_name_its_file(made, plugin, capsys):
    for command in (["report"], ["compare", "--out", made.parent / "page"]):
        assert "was made with the plugin mine.py (SHA-256" in refused(capsys, *command, made)
    with pytest.raises(InputError, match=r"was made with the plugin mine\.py .* not loaded"):
        open_run(made).algorithm("my-ridge")
    status, out, err = run(capsys, "status", made)
    assert (status, "2 of 2 cells" in out) == (0, True), err
    assert "my-ridge: the code is not loaded" in out
    assert "made with the plugin mine.py (SHA-256" in out
    status, out, err = run(capsys, "verify", made)
    assert (status, "my-ridge: the code is not loaded" in out) == (0, True), err
    assert "not ours" not in out
    rows = next(each for each in (made / "rows").iterdir() if "ridge" in each.name)
    rows.unlink()
    status, out, _ = run(capsys, "verify", made)
    assert (status, f"missing: rows/{rows.name}" in out) == (1, True)
    assert "my-ridge" not in METHODS, "a folder does not decide which code runs"


@pytest.mark.slow
@pytest.mark.usefixtures("collection")
def test_commands_say_that_a_plugin_has_changed(made, plugin, registries, capsys):
    words = "The plugin mine.py that is loaded has another content than the one that made the rows"

    def shown(command):
        registries()
        status, out, err = run(capsys, command, made, "--plugin", plugin)
        assert status == 0, err
        page = (made / "report.html").read_text(encoding="utf-8") if command == "report" else ""
        return words in out + page

    commands = ("report", "status", "verify")
    assert [shown(each) for each in commands] == [False] * 3
    plugin.write_text(plugin.read_text() + "# changed\n")
    assert [shown(each) for each in commands] == [True] * 3
    plugin.write_text(plugin.read_text().replace('"my-ridge"', '"their-ridge"'))
    registries()
    status, out, err = run(capsys, "status", made, "--plugin", plugin)
    assert status == 0, err
    assert "and the file of this name that is loaded lacks them: give it as it was" in out
    assert "--plugin FILE" not in out, "it is there"


@pytest.mark.long
def test_plan_and_run_with_workers(plugin, tmp_path, capsys, monkeypatch):
    prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    asked = [tmp_path / "small.toml", "--plugin", plugin, "--algorithms", "my-protonet,my-ridge"]
    asked += ["--targets", "oct", "--shots", "1", "--set", "model.backbone=means_net"]
    asked += ["--set", "model.backbone.width=2"]
    status, out, err = run(capsys, "plan", *asked)
    assert (status, "my-protonet" in out) == (0, True), err
    status, out, err = run(capsys, "run", *asked, "--out", tmp_path / "two", "--jobs", "2")
    assert (status, "my-protonet" in out) == (0, True), err


def test_annotations_of_a_plugin_are_as_it_writes_them(tmp_path):
    """They are no texts, as those of the module that loads it are."""
    path = tmp_path / "annotated.py"
    path.write_text("def shots_of(count: int) -> int:\n    return count\n")
    module = sys.modules[f"torchcross_plugin_{load_plugin(path)[:16]}"]
    assert module.shots_of.__annotations__ == {"count": int, "return": int}
