"""The page of a run says what it used: images and subjects, draws, chance levels, compute."""

from collections import Counter

import numpy as np
import pytest

from tests.experiment.conftest import toy_experiment
from tests.report.reading import cells_of, read_page, rows_of
from torchcross.data import TensorSource, toys
from torchcross.experiment import RunFolder, run_experiment, write_page
from torchcross.experiment.rows.target_episodes import describe_data, target_episodes


def test_images_and_subjects_of_each_class():
    whole = toys.multilabel(40, size=8)
    labels = whole.labels
    subjects = np.arange(len(labels)) // 3
    images = whole.images(np.arange(len(labels)))
    source = TensorSource(images, labels, whole.task, groups=subjects, name="shapes")
    described = describe_data(source)
    assert (described["images"], described["subjects"]) == (40, 14)
    for place, each in enumerate(described["classes"]):
        has = labels[:, place] == 1
        assert each == {
            "class": whole.task.target.classes[place],
            "images": int(has.sum()),
            "subjects": len(set(subjects[has].tolist())),
        }
    assert describe_data(toys.ordinal(30, size=8))["subjects"] is None


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from tests.experiment.conftest import Toys

    collection, experiment = (
        Toys(),
        toy_experiment(algorithms=["ncm", "protonet"], **{"data.targets": ["specks", "hole"]}),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "torchcross.experiment.run.targets.open_collection",
            lambda kind, folder, **how: collection,
        )
        out = tmp_path_factory.mktemp("study") / "run"
        assert run_experiment(experiment, out, progress=False).complete
    return out, collection, experiment


def table_of(page, section):
    (table,) = read_page(page.read_text(encoding="utf-8")).by_id(section).all("table")
    return [[cell.text for cell in cells_of(row)] for row in rows_of(table)]


@pytest.mark.long
def test_the_page_has_images_and_how_often_they_were_drawn(run):
    out, collection, experiment = run
    rows = iter(table_of(write_page(out), "data"))
    for target in ("specks", "hole"):
        source = collection.made[target]
        sampler = target_episodes(source, experiment).sampler
        drawn = Counter()
        for number in range(experiment.evaluation.episodes):
            plan = sampler[number]
            drawn.update([*plan.support.tolist(), *plan.query.tolist()])
        for place, name in enumerate(source.task.target.classes):
            members = np.flatnonzero(source.labels == place).tolist()
            times = [drawn[image] for image in members if drawn[image]]
            assert next(rows) == [
                *(source.name, name, str(len(members)), "—", str(len(times))),
                *(f"{np.median(times):g}", str(max(times))),
            ]


@pytest.mark.long
def test_the_page_has_chance_levels_and_compute(run):
    out, _, experiment = run
    page = write_page(out)
    levels = table_of(page, "chance")
    # Accuracy, AUROC, balanced accuracy, then kappa and weighted AUROC, which only grades have.
    assert levels[0][1:] == ["0.200", "0.500", "0.200", "0.000", "0.500"]
    assert levels[1][1:] == ["0.500", "0.500", "0.500", "—", "—"]
    assert [row[0] for row in levels] == [
        source.name for source in (run[1].made["specks"], run[1].made["hole"])
    ]
    adaptations = 2 * 2 * experiment.evaluation.episodes
    assert table_of(page, "compute") == [
        ["ncm", "0", "0", str(adaptations)],
        ["protonet", "2", "6", str(adaptations)],
    ]


def test_a_run_without_plans_says_less(run, tmp_path):
    out, _, _ = run
    gone = [RunFolder(out).files.plans(target, 2) for target in ("hole", "specks")]
    kept = {path: path.read_bytes() for path in gone}
    try:
        for path in gone:
            path.unlink()
        page = write_page(out, out=tmp_path)
        assert {row[-1] for row in table_of(page, "data")} == {"—"}
    finally:
        for path, content in kept.items():
            path.write_bytes(content)


def test_damaged_plans_are_said_where_no_interval_needs_them(run, tmp_path):
    out, _, _ = run
    damaged = RunFolder(out).files.plans("hole", 2)
    content = damaged.read_bytes()
    try:
        damaged.write_bytes(b"damaged")
        page = write_page(out, out=tmp_path, uncertainty="episodes")
    finally:
        damaged.write_bytes(content)
    text = read_page(page.read_text(encoding="utf-8")).by_id("data").text
    assert text.count("are not known") == 1
    assert sum(row[-1] == "—" for row in table_of(page, "data")) == 2


@pytest.mark.long
def test_times_stand_on_a_page_that_is_asked_for_them(collection, tmp_path):
    run_experiment(toy_experiment(), tmp_path / "run")
    plain = write_page(tmp_path / "run").read_text(encoding="utf-8")
    assert "scoring time" not in plain
    assert 'id="environment"' not in plain
    timed = write_page(tmp_path / "run", times=True, out=tmp_path / "page")
    text = timed.read_text(encoding="utf-8")
    assert "training time" in text
    assert "8 of 8 cells have a scoring time" in text
    again = write_page(tmp_path / "run", times=True, out=tmp_path / "again")
    assert again.read_text(encoding="utf-8") == text
    (tmp_path / "run" / "environment.json").unlink()
    timed = write_page(tmp_path / "run", times=True, out=tmp_path / "page")
    assert "scoring time" not in timed.read_text(encoding="utf-8")
