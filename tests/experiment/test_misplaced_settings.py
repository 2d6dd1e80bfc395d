"""A setting that is misspelt, or in the wrong section, is an error that names the right one."""

from __future__ import annotations

from pathlib import Path

import pytest

from torchcross.errors import InputError
from torchcross.experiment import read_experiment
from torchcross.experiment.settings.misplaced import unknown_setting


def message(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_experiment(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[meta]\nfolder = "images"\n',
            "no setting is called 'meta.folder'; did you mean 'data.folder'? In a TOML file,"
            " 'folder' stands in [data]",
        ),
        (
            '[data]\nfolder = "images"\nsteps = 10\n',
            "no setting is called 'data.steps'; did you mean 'pretraining.steps', 'meta.steps' or"
            " 'evaluation.steps'? In a TOML file, 'steps' stands in [pretraining], [meta] or"
            " [evaluation]",
        ),
        (
            '[data]\nfolder = "images"\nshots = [1, 5]\n',
            "no setting is called 'data.shots'; did you mean 'shots' or 'meta.shots'? In a TOML"
            " file, 'shots' stands in the part above all sections or [meta]",
        ),
        (
            '[data]\nfolder = "images"\nalgoritms = ["ncm"]\n',
            "no setting is called 'data.algoritms'; did you mean 'algorithms'? In a TOML file,"
            " 'algorithms' stands in the part above all sections",
        ),
        (
            '[data]\nfolder = "images"\nstpes = 10\n',
            "did you mean 'pretraining.steps', 'meta.steps' or 'evaluation.steps'? In a TOML file",
        ),
        (
            '[model]\nname = "conv4"\n',
            "no setting is called 'model.name'; did you mean 'model.backbone.name'? In a TOML file,"
            " 'name' stands in [model.backbone]",
        ),
        (
            '[evaluation]\nepsiodes = 3\n[data]\nfolder = "images"\n',
            "no setting is called 'evaluation.epsiodes'; did you mean 'evaluation.episodes'?",
        ),
        (
            '[evaluation]\nxxyyzz = 3\n[data]\nfolder = "images"\n',
            "no setting is called 'evaluation.xxyyzz'; there are 'evaluation.",
        ),
        (
            'algorithms = ["mm-maml"]\n[data]\nfolder = "images"\n[rows.mm-maml]\nsteps = 10\n',
            "rows.mm-maml: no setting is called 'steps'; did you mean 'pretraining.steps',"
            " 'meta.steps'",
        ),
        ('stpes = 10\n[data]\nfolder = "images"\n', "did you mean 'pretraining.steps'"),
    ],
)
def test_the_error_names_the_setting_that_is_meant(tmp_path: Path, text: str, said: str) -> None:
    assert said in message(tmp_path, text)


def test_settings_below_the_section_are_meant_before_others() -> None:
    every = ["data.name", "model.backbone.name"]
    said = unknown_setting("name", "model.", [], every)
    assert "did you mean 'model.backbone.name'? In a TOML" in said


def test_a_setting_of_the_section_is_meant_where_others_are_as_near() -> None:
    said = unknown_setting("stpes", "meta.", ["meta.steps"], ["evaluation.steps", "meta.steps"])
    assert said.endswith("did you mean 'meta.steps'? There are 'meta.steps'")


def test_a_dotted_name_is_compared_with_whole_names() -> None:
    every = ["evaluation.seed", "model.backbone.name"]
    assert "mean 'model.backbone.name'? There" in unknown_setting(
        "modl.backbone.n", "", every, every
    )
