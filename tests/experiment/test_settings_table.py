"""Every setting is explained, and the page of the documentation has them as they are."""

import re
import tomllib

from tests.experiment.generated_tables import PAGE, page_with
from tests.experiment.settings_table import rendered
from torchcross.experiment import EvaluationSettings, experiment_from_values
from torchcross.experiment.settings.listing import settings
from torchcross.statistics.intervals import METHODS


def test_every_setting_is_explained_and_can_be_set():
    found = settings()
    assert len({one.name for one in found}) == len(found) > 50
    for one in found:
        assert one.says, f"{one.name} has no line in the docstring of its section"
        assert one.default or one.name in ("data.folder", "trackers.wandb.project")
    values = {
        one.name: tomllib.loads(f"value = {one.default}")["value"] for one in found if one.default
    }
    values["trackers.wandb.project"] = "few-shot"
    assert experiment_from_values({"data": {"folder": "there"}}, values).data.leave_out == "domain"


def test_an_entry_of_several_lines_is_whole():
    said = {one.name: one.says for one in settings()}
    assert said["evaluation.disjoint"].startswith("true: episodes share no image")
    assert said["evaluation.disjoint"].endswith("the run keeps")
    assert said["pretraining.clip"] == said["meta.clip"]


def test_the_page_has_the_settings_as_they_are():
    assert PAGE.read_text(encoding="utf-8") == page_with("settings", rendered()), (
        "python -m tests.experiment.settings_table --write"
    )
    published = "medimeta-table4, medimeta-table4-short"
    assert f'| `norm` | `""`; {published}: `"running"`; disjoint: `"support"` |' in rendered()


def test_the_page_shows_experiments_that_can_be_told():
    blocks = re.findall(r"```toml\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    tables = [tomllib.loads(block) for block in blocks]
    # The other ones are of a package's pyproject.toml.
    experiments = [table for table in tables if "project" not in table]
    assert experiments
    for table in experiments:
        experiment_from_values(table)


def test_intervals_are_those_that_there_are():
    for name in METHODS:
        assert EvaluationSettings(interval=name).interval == name
        assert (
            experiment_from_values(
                {"data": {"folder": "there"}}, {"evaluation.interval": name}
            ).evaluation.interval
            == name
        )
