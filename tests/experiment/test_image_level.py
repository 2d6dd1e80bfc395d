"""The pages of a run are over images where its plans are known, and say so where they are not."""

import csv
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tests.experiment.conftest import Toys, toy_experiment
from tests.experiment.earlier_version import without_hashes, without_plans
from torchcross.cli import main
from torchcross.data import TensorSource
from torchcross.data.plan_files.drawn_images import write_drawn_images
from torchcross.errors import DamageError, InputError, PlanFileError
from torchcross.experiment import RunFolder, compare_runs, run_experiment, verify_run, write_page
from torchcross.experiment.outcome import RunOutcome
from torchcross.records import read_records
from torchcross.report import write_report

EXPERIMENT = toy_experiment(
    algorithms=["ncm", "probe"],
    shots=[1],
    **{"evaluation.episodes": 24, "data.targets": ["hole"]},
)
OVER_IMAGES = "Intervals and tests are over images"
OF_EPISODES = "over episodes of these images"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("torchcross.experiment.run.targets.open_collection", lambda *a, **how: Toys())
        run_experiment(EXPERIMENT, folder)
    write_page(folder)
    return folder


@pytest.fixture
def run(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def page(run, **options):
    return write_page(run, **options).read_text(encoding="utf-8")


def warnings(text):
    return [part.split("</p>")[0] for part in text.split('class="warning">')[1:]]


def table(run, algorithm="ncm"):
    (row,) = csv.DictReader((run / "table.csv").read_text(encoding="utf-8").splitlines())
    return {name.removeprefix(f"{algorithm}, 1 shot: "): value for name, value in row.items()}


def plan_file(run):
    (path,) = (run / "episodes").glob("plans-*.npz")
    return path


@pytest.mark.long
def test_a_page_is_over_images_and_states_both_intervals(whole):
    text = (whole / "report.html").read_text(encoding="utf-8")
    assert OVER_IMAGES in text
    assert f"The same table with intervals {OF_EPISODES}" in text
    assert not any(OF_EPISODES in each for each in warnings(text))
    for name in ("table.md", "table.tex"):
        assert OVER_IMAGES in (whole / name).read_text(encoding="utf-8")
    cells = table(whole)
    assert cells["over"] == "images"
    low, high, mean = (float(cells[name]) for name in ("low", "high", "mean"))
    narrow = float(cells["episodes low"]), float(cells["episodes high"])
    assert 0 < low < narrow[0] < mean < high < 1, "on the logit scale, between the bounds"
    assert high - low > narrow[1] - narrow[0]
    shown = "over images, " + " to ".join(f"{100 * end:.1f}" for end in narrow)
    assert f"{shown} {OF_EPISODES}" in text


@pytest.mark.long
def test_intervals_over_episodes_are_had_by_name(run):
    wide = table(run)
    text = page(run, uncertainty="episodes")
    assert any("as was asked for" in each for each in warnings(text))
    cells = table(run)
    assert cells["over"] == "episodes"
    assert (cells["low"], cells["high"]) == (wide["episodes low"], wide["episodes high"])
    assert OVER_IMAGES not in text
    assert main(["report", str(run), "--uncertainty", "images"]) == 0
    assert table(run) == wide
    with pytest.raises(InputError, match="uncertainty='subjects' is not known"):
        write_page(run, uncertainty="subjects")


@pytest.mark.usefixtures("collection")
def test_the_setting_decides_no_row(run):
    before = {path.name: path.read_bytes() for path in (run / "rows").iterdir()}
    other = toy_experiment(
        algorithms=["ncm", "probe"],
        shots=[1],
        **{
            "evaluation.episodes": 24,
            "data.targets": ["hole"],
            "evaluation.uncertainty": "episodes",
        },
    )
    outcome = run_experiment(other, run)
    assert {path.name: path.read_bytes() for path in (run / "rows").iterdir()} == before
    assert OVER_IMAGES not in page(run)
    assert "as was asked for" in outcome._repr_html_()


def test_a_notebook_shows_what_the_page_shows(whole):
    folder = RunFolder(whole)
    shown = RunOutcome(folder, folder.records(), [])._repr_html_()
    assert OVER_IMAGES in shown


def test_a_run_without_plans_is_reported_over_episodes_and_says_so(run):
    wide = table(run)
    text = page(without_plans(run))
    (said,) = [each for each in warnings(text) if OF_EPISODES in each]
    assert "ink/hole at 1 shot" in said
    assert "--data FOLDER" in said
    cells = table(run)
    assert cells["over"] == "episodes"
    assert (cells["low"], cells["high"]) == (wide["episodes low"], wide["episodes high"])


@pytest.mark.usefixtures("collection")
def test_plans_are_drawn_again_from_the_data(run):
    wide, plans, name = table(run), plan_file(run).read_bytes(), plan_file(run).name
    page(without_plans(run))
    assert table(run) != wide
    assert main(["report", str(run), "--data", "anywhere"]) == 0
    assert table(run) == wide
    assert plan_file(run).name == name
    assert plan_file(run).read_bytes() == plans
    assert verify_run(run).holds
    assert OVER_IMAGES in page(run), "the plans are kept"


def test_plans_of_other_data_do_not_count(run, collection):
    of = collection.made["hole"]
    collection.made["hole"] = of.subset(np.arange(1, len(of)), name=of.name)
    text = page(without_plans(run), data="elsewhere")
    assert any("ink/hole at 1 shot gives other episodes" in each for each in warnings(text))
    assert OVER_IMAGES not in text
    assert not list((run / "episodes").glob("plans-*"))
    collection.broken = {"hole"}
    text = page(run, data="elsewhere")
    assert any("hole cannot be read: the disk is gone" in each for each in warnings(text))


@pytest.mark.usefixtures("collection")
def test_rows_without_digests_cannot_have_plans(run):
    without_hashes(run)
    shutil.rmtree(run / "episodes")
    (run / "episodes").mkdir()
    text = page(run, data="anywhere")
    said = " ".join(warnings(text))
    assert "rows have no digest of their episodes" in said
    assert f"are {OF_EPISODES}: the run has no plans" in said


def test_plans_of_another_seed_are_not_those_of_the_rows(run):
    from torchcross.data import EpisodeSampler

    source = Toys().made["hole"]
    other = EpisodeSampler(source, shots=1, queries=2, min_samples=4, seed=5).curve((1,)).at(1)
    write_drawn_images(plan_file(run), other, other.batch(range(24)))
    (check,) = [check for check in verify_run(run).checks if check.state == "damaged"]
    assert check.name == f"episodes/{plan_file(run).name}"
    assert "were not scored" in check.detail
    text = page(run)
    assert OVER_IMAGES not in text
    assert any("the run has no plans" in each for each in warnings(text))


def test_a_damaged_file_of_plans_is_named(run, collection):
    path = plan_file(run)
    before = path.read_bytes()
    path.write_bytes(before[:-40])
    with pytest.raises((PlanFileError, DamageError), match=path.name):
        write_page(run)
    assert collection is not None
    assert OVER_IMAGES in page(run, data="anywhere")
    assert path.read_bytes() == before


def test_runs_lend_each_other_plans_of_the_same_episodes(whole, run, tmp_path):
    plain = without_plans(run.rename(tmp_path / "plain"))
    text = compare_runs([plain, whole], tmp_path / "both").read_text(encoding="utf-8")
    assert OVER_IMAGES in text
    assert not any(OF_EPISODES in each for each in warnings(text))
    text = compare_runs([plain], tmp_path / "one").read_text(encoding="utf-8")
    assert any("plain: Intervals and marks of" in each for each in warnings(text))
    asked = compare_runs([whole], tmp_path / "asked", uncertainty="episodes")
    assert "as was asked for" in asked.read_text(encoding="utf-8")


def test_few_episodes_give_no_interval_over_images(collection, tmp_path):
    few = toy_experiment(
        algorithms=["ncm"],
        shots=[1],
        **{"data.targets": ["hole"], "evaluation.episodes": 12, "evaluation.queries": 20},
    )
    run_experiment(few, tmp_path / "few")
    text = page(tmp_path / "few")
    assert "o interval over images: 12 episodes are fewer than 20" in text
    assert collection.opened
    assert table(tmp_path / "few")["over"] == "episodes"


def with_class_of(images):
    """The source "hole" with so few images of its first class."""
    source = Toys().made["hole"]
    first = np.flatnonzero(source.labels == source.labels[0])[images:]
    return source.subset(np.setdiff1d(np.arange(len(source)), first), name=source.name)


def in_groups(source, groups):
    return TensorSource(
        source.images(np.arange(len(source))),
        source.labels,
        source.task,
        groups=groups,
        name=source.name,
    )


@pytest.mark.long
def test_images_of_one_subject_give_no_interval_over_images(collection, tmp_path):
    whole = collection.made["hole"]
    collection.made["hole"] = in_groups(whole, np.zeros(len(whole), dtype=np.int64))
    alone = replace(EXPERIMENT, evaluation=replace(EXPERIMENT.evaluation, groups="ignore"))
    run_experiment(alone, tmp_path / "run")
    assert "o interval over images: all images are of one subject" in page(tmp_path / "run")
    assert table(tmp_path / "run")["over"] == "episodes"


@pytest.mark.long
def test_images_of_every_episode_are_named_on_the_page(collection, tmp_path):
    collection.made["hole"] = with_class_of(3)
    few = replace(EXPERIMENT, evaluation=replace(EXPERIMENT.evaluation, min_images=3))
    run_experiment(few, tmp_path / "run")
    assert "probe: 3 images are in nearly every episode" in page(tmp_path / "run")
    assert table(tmp_path / "run", "probe")["over"] == "images"


def test_rows_alone_are_reported_over_episodes(whole, tmp_path):
    records = RunFolder(whole).records()
    records.write(tmp_path / "rows.csv")
    path = write_report(
        read_records(tmp_path / "rows.csv"),
        tmp_path / "page.html",
        title="rows",
        protocol={},
        provenance={},
    )
    text = path.read_text(encoding="utf-8")
    assert f"Intervals and tests are {OF_EPISODES}, and say nothing of other images" in text
    assert OVER_IMAGES not in text


def test_a_table_of_means_has_no_episodes(tmp_path, capsys):
    path = tmp_path / "means.csv"
    path.write_text("target,a,b\nx,1,2\ny,2,3\n", encoding="utf-8")
    for flags in (["--uncertainty", "images"], ["--data", str(tmp_path)]):
        assert main(["report", str(path), *flags]) == 2
        assert "table of means" in capsys.readouterr().err
