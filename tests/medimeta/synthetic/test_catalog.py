"""The shipped catalogue adds up to what was published."""

import csv
import io

import pytest

from medimeta_adapter.format.info import TaskTarget
from medimeta_adapter.synthetic import catalog
from torchcross.errors import InputError

ALL = tuple(catalog.datasets.values())


def test_totals_are_the_published_ones():
    totals = catalog.totals
    assert (totals.datasets, totals.tasks, totals.domains, totals.images) == (19, 54, 10, 399742)
    assert totals.targets == {"binary": 13, "multiclass": 30, "multilabel": 6, "ordinal": 5}


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.id)
def test_what_is_left_when_a_dataset_is_left_out(entry):
    sources = catalog.sources_of(entry.id)
    assert len(sources) == entry.lodo_sources.datasets
    assert sum(len(catalog.datasets[name].tasks) for name in sources) == entry.lodo_sources.tasks
    assert entry.domain not in {catalog.datasets[name].domain for name in sources}


@pytest.mark.parametrize("entry", ALL, ids=lambda entry: entry.id)
def test_a_dataset_agrees_with_itself_and_with_the_others(entry):
    assert catalog.datasets[entry.id] is entry is catalog.dataset(entry.id)
    assert entry.original_splits.total == entry.samples.total > 0
    assert entry.channels in (1, 3)
    assert len({task.name for task in entry.tasks}) == len(entry.tasks)
    same_domain = set(catalog.domains[entry.domain]) - {entry.id}
    assert set(entry.domain_overlaps) == same_domain
    for kind in ("domain_overlaps", "subject_overlaps"):
        for other in getattr(entry, kind):
            assert entry.id in getattr(catalog.datasets[other], kind)


def test_grades_keep_their_gaps():
    keys = {task.name: task.label_keys for task in catalog.datasets["dr_regular"].tasks}
    assert keys["Artifact"] == (0, 1, 4, 6, 8, 10)
    assert keys["Clarity"] == keys["Field definition"] == (1, 4, 6, 8, 10)
    assert keys["DR level"] == (0, 1, 2, 3, 4)
    gapped = [
        task.name for task in catalog.tasks if task.label_keys != tuple(range(task.num_labels))
    ]
    assert gapped == ["Artifact", "Clarity", "Field definition"]


def test_kinds_are_task_targets():
    assert {task.kind: task.task_target for task in catalog.tasks} == {
        "binary": TaskTarget.BINARY_CLASSIFICATION,
        "multiclass": TaskTarget.MULTICLASS_CLASSIFICATION,
        "multilabel": TaskTarget.MULTILABEL_CLASSIFICATION,
        "ordinal": TaskTarget.ORDINAL_REGRESSION,
    }
    assert all(task.num_labels == 2 for task in catalog.tasks if task.kind == "binary")


def test_an_unknown_dataset_is_named_with_the_nearest():
    with pytest.raises(InputError, match="no dataset 'skin_photo'; did you mean 'skinl_photo'"):
        catalog.dataset("skin_photo")
    with pytest.raises(InputError, match="no dataset 'otc'"):
        catalog.table(["otc"])


def test_the_table_has_a_row_for_every_task():
    table = catalog.table()
    assert len(table.rows) == 54
    assert table.rows[0] == (
        *("aml", "AML Cytomorphology", "Microscopy", 3, 12855, 1836, 3674),
        *("morphological class", "multiclass", 15),
    )
    assert {row[0] for row in table.rows} == set(catalog.datasets)


def test_the_table_as_text_is_aligned_and_says_a_dataset_once():
    lines = catalog.table().text().splitlines()
    assert len(lines) == 56
    start = lines[0].index("task")
    assert all(line[start] != " " and line[start - 1] == " " for line in lines[2:])
    assert sum(line.startswith("skinl_photo ") for line in lines) == 1
    ends = {len(line) for line in lines}
    assert ends == {len(lines[0])}
    assert "12,855" in lines[2]
    assert str(catalog.table()) == catalog.table().text()


def test_the_table_as_markdown_and_csv():
    table = catalog.table(["oct", "bus"])
    lines = table.markdown().splitlines()
    assert len(lines) == 6
    assert {line.count("|") for line in lines} == {len(table.columns) + 1}
    assert lines[2].startswith("| oct | OCT | OCT | 1 | 91,615 |")
    assert lines[3].startswith("|  |  |")
    rows = list(csv.reader(io.StringIO(table.csv())))
    assert tuple(rows[0]) == table.columns
    assert [tuple(map(str, row)) for row in table.rows] == [tuple(row) for row in rows[1:]]


def test_where_paper_and_files_differ_is_said():
    assert any("109309" in entry.finding for entry in catalog.disagreements)
    assert any("LUCENT_CENTER" in note for note in catalog.notes)
    assert all(entry.what and entry.finding for entry in catalog.disagreements)
