"""Transfer studies and rankings of sources with the backbone of a plugin file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command_line import refused, run
from tests.transfer.study_files import study_text, write_study
from torchcross._kit.plugin_files import PluginFile
from torchcross.transfer.studies import StudyFolder
from torchcross.transfer.studies.inputs import (
    input_changes,
    missing_inputs,
    plugin_files,
    plugin_inputs,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plugins")
    return write_study(folder, ["oct", "pneumonia", "derm"], study_text(backbone='"means_net"'))


@pytest.mark.long
def test_a_study_with_a_backbone_of_a_plugin(folder, plugin, registries, tmp_path, capsys) -> None:
    out = tmp_path / "out"
    command = ("transfer", "run", folder / "study.toml", "--out", out, "--quiet")
    said = refused(capsys, *command)
    assert "no backbone is called 'means_net'" in said
    assert not out.exists()
    # Workers are processes of their own, which load the plugin too.
    status, _, err = run(capsys, *command, "--plugin", plugin, "--jobs", 2)
    assert (status, err) == (0, "")
    (used,) = StudyFolder.open(out).plugins()
    assert used.name == "mine.py"
    assert "plugin mine.py" in (out / "report.html").read_text(encoding="utf-8")
    assert str(plugin.parent) not in (out / "study.json").read_text(encoding="utf-8")
    lacks = f"plugin mine.py (SHA-256 {used.sha256[:12]}) was given and is not: --plugin mine.py"
    assert f"{lacks}. Give" in refused(capsys, *command)
    registries()
    plugin.write_text(plugin.read_text() + "\n# changed\n")
    changed = refused(capsys, *command, "--plugin", plugin)
    assert "plugin mine.py has other content than it had" in changed


def test_plugins_of_a_file_are_beside_it(folder, plugin, tmp_path, capsys) -> None:
    file = tmp_path / "study.toml"
    text = study_text(top='plugins = ["mine.py"]', data=folder / "data", backbone='"means_net"')
    file.write_text(text, encoding="utf-8")
    out = tmp_path / "out"
    status, _, _ = run(capsys, "transfer", "run", file, "--out", out, "--jobs", 1, "--quiet")
    assert status == 0
    (used,) = StudyFolder.open(out).plugins()
    ranked = ("transfer", "rank", "--data", folder / "data", "--target", "derm", "--study", out)
    options = ("--scores", "knn", "--halves", 0, "--quiet", "--images", 40)
    assert run(capsys, *ranked, *options)[0] == 0
    # Which code runs is not for a folder to say.
    record = json.loads((out / "study.json").read_text())
    assert record["inputs"][f"plugin mine.py {used.sha256[:12]}"] == used.sha256


def test_a_ranking_loads_no_plugin_of_a_study_itself(
    folder, plugin, registries, tmp_path, capsys
) -> None:
    out = tmp_path / "out"
    study = (folder / "study.toml", "--out", out, "--plugin", plugin, "--jobs", 1, "--quiet")
    assert run(capsys, "transfer", "run", *study)[0] == 0
    registries()
    ranked = ("transfer", "rank", "--data", folder / "data", "--target", "derm", "--study", out)
    options = ("--scores", "knn", "--halves", 0, "--quiet", "--images", 40)
    said = refused(capsys, *ranked, *options)
    assert "was made with the plugin mine.py" in said
    assert "--plugin mine.py" in said
    status, shown, _ = run(capsys, *ranked, *options, "--plugin", plugin)
    assert status == 0
    assert "scratch" in shown


def test_a_ranking_trains_the_backbone_of_a_plugin_on_a_device(
    folder, plugin, tmp_path, capsys, monkeypatch
) -> None:
    networks = tmp_path / "networks"
    ranked = (
        *("transfer", "rank", "--data", folder / "data", "--target", "derm", "--channels", 1),
        *("--sources", "oct", "scratch", "--backbone", "means_net", "--networks", networks),
        *("--set", "source_training.epochs=1", "--set", "study.source_images=60"),
        *("--scores", "knn", "--halves", 0, "--quiet", "--images", 40, "--plugin", plugin),
    )
    status, shown, _ = run(capsys, *ranked, "--device", "cpu", "--jobs", 1)
    assert status == 0
    assert "oct" in shown
    inputs = json.loads((networks / "study.json").read_text())["inputs"]
    assert any(name.startswith("plugin mine.py ") for name in inputs)
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert "device='cuda' is not here" in refused(capsys, *ranked, "--device", "cuda")


def write_files(folder: Path, name: str, contents: list[str]) -> list[str]:
    """Plugin files of one name, each in a folder of its own."""
    files = [folder / str(place) / name for place in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.parent.mkdir(exist_ok=True)
        file.write_text(content)
    return list(map(str, files))


@pytest.mark.usefixtures("registries")
def test_two_plugins_of_one_name_are_two_inputs(tmp_path: Path) -> None:
    files = write_files(tmp_path, "mine#1.py", ["NUMBER = 0\n", "NUMBER = 1\n"])
    inputs = plugin_inputs(files)
    assert plugin_inputs(reversed(files)) == inputs
    assert len(set(inputs.values())) == 2
    for file in plugin_files(inputs):
        assert file.name == "mine#1.py"
        assert inputs[f"plugin mine#1.py {file.sha256[:12]}"] == file.sha256
    assert plugin_files({"plugin mine.py": "0" * 64}) == [PluginFile("mine.py", "0" * 64)]


@pytest.mark.usefixtures("registries")
def test_a_study_takes_a_second_plugin_of_a_name(tmp_path: Path) -> None:
    """Whichever of the two digests is the smaller one."""
    files = write_files(tmp_path, "mine.py", ["NUMBER = 0\n", "NUMBER = 1\n"])
    both = plugin_inputs(files)
    for file in files:
        before = plugin_inputs([file])
        assert [*input_changes(before, both), *missing_inputs(before, both)] == []
        (digest,) = set(both.values()) - set(before.values())
        assert list(missing_inputs(both, before)) == [
            f"plugin mine.py (SHA-256 {digest[:12]}) was given and is not: --plugin mine.py"
        ]


@pytest.mark.usefixtures("registries")
def test_plugins_that_are_missing_are_named_in_the_order_they_were_given(tmp_path: Path) -> None:
    names = [f"{letter}.py" for letter in "hgfedcba"]
    for name in names:
        (tmp_path / name).write_text(f"NAME = {name!r}\n")
    before = plugin_inputs(str(tmp_path / name) for name in names)
    said = list(missing_inputs(before, {}))
    assert [line.rpartition("--plugin ")[2] for line in said] == names
