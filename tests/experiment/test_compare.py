"""Runs side by side: paired where they were scored on the same episodes, and only there; what
differs is named.
"""

import json
import shutil

import pytest
from safetensors.torch import save_file

from tests.experiment.conftest import toy_experiment
from tests.experiment.earlier_version import without_hashes
from torchcross.backbones import conv4
from torchcross.errors import InputError
from torchcross.experiment import RunFolder, compare_runs, run_experiment, write_page
from torchcross.experiment.run.json_files import read_json, write_json
from torchcross.records import Records

pytestmark = pytest.mark.usefixtures("collection")
UNPAIRED = "Not the same episodes"


def ran(folder, **changes):
    settings = {
        "algorithms": ["ncm"],
        "shots": [1],
        "data.targets": ["hole"],
        "evaluation.episodes": 6,
    }
    assert run_experiment(toy_experiment(**{**settings, **changes}), folder).complete
    return folder


def side_by_side(tmp_path, *folders):
    return compare_runs(folders, tmp_path / "both").read_text(encoding="utf-8")


def test_runs_on_the_same_episodes_are_paired(tmp_path):
    shown = {"evaluation.predictions": 0, "evaluation.specificity": 0.8}
    one = ran(tmp_path / "one")
    other = ran(tmp_path / "other", algorithms=["scratch"], **shown)
    text = side_by_side(tmp_path, one, other)
    assert "ncm (one)" in text
    assert "scratch (other)" in text
    assert UNPAIRED not in text
    assert "evaluated differently" not in text
    assert [place[::2] for place in RunFolder(one).episodes()] == [("ncm", 1)]


@pytest.mark.long
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"evaluation.seed": 1}, "one and other were evaluated differently: evaluation.seed."),
        (
            {"evaluation.queries": 3},
            "one and other were evaluated differently: evaluation.queries.",
        ),
        (
            {"shots": [1, 2]},
            "one and other have other episodes: support and query images are drawn for the largest"
            " number of shots, 1 and 2, and fewer shots are parts of these.",
        ),
    ],
)
def test_runs_on_other_episodes_are_not_and_the_reason_is_named(tmp_path, changes, said):
    text = side_by_side(
        tmp_path, ran(tmp_path / "one"), ran(tmp_path / "other", algorithms=["scratch"], **changes)
    )
    assert UNPAIRED in text
    assert said in text


def test_a_number_of_shots_between_changes_the_supports_of_several_labels(tmp_path):
    rows = {"data.targets": ["hole", "shapes"]}
    one = ran(tmp_path / "one", shots=[1, 3], **rows)
    other = ran(tmp_path / "other", algorithms=["image-statistics"], shots=[1, 2, 3], **rows)
    assert (
        "one and other have other supports (ink/shapes at 1 shot): a smaller support is drawn from"
        " that of the next larger number of shots, which one of them lacks."
    ) in side_by_side(tmp_path, one, other)


def test_rows_with_other_shots_have_the_caveat_of_one_seed(tmp_path):
    one = ran(tmp_path / "one", shots=[1])
    other = ran(tmp_path / "other", algorithms=["image-statistics"], shots=[1, 2])
    text = side_by_side(tmp_path, one, other)
    caveats = text[text.index('id="answer"') :].partition("</ul>")[0]
    assert "ncm (one): training variance was not measured: there is one training seed." in caveats
    assert "image-statistics (other): nothing was trained" in caveats


def test_what_is_done_with_the_same_episodes_is_named_and_paired(tmp_path):
    text = side_by_side(
        tmp_path, ran(tmp_path / "one"), ran(tmp_path / "other", **{"evaluation.norm": "frozen"})
    )
    assert "one and other were evaluated differently: evaluation.norm." in text
    assert UNPAIRED not in text


@pytest.mark.long
def test_rows_that_do_not_tell_their_episodes_are_paired_with_their_own_run_alone(tmp_path):
    one = without_hashes(ran(tmp_path / "one", algorithms=["ncm", "scratch"]))
    other = without_hashes(ran(tmp_path / "other"))
    for path in (one / "episodes").iterdir():
        path.unlink()
    assert UNPAIRED in side_by_side(tmp_path, one, other)
    shutil.rmtree(other / "episodes")
    assert UNPAIRED in side_by_side(tmp_path, one, other)
    assert UNPAIRED not in write_page(one).read_text(encoding="utf-8")


def test_other_data_are_named(collection, tmp_path, monkeypatch):
    one = ran(tmp_path / "one")
    monkeypatch.setattr(
        collection, "describe", lambda: {"synthetic": "all of it", "datasets": {"hole": "other"}}
    )
    text = side_by_side(tmp_path, one, ran(tmp_path / "other"))
    assert "one and other are not of the same data: datasets." in text


def test_runs_are_told_apart_by_their_folders(tmp_path, monkeypatch):
    one = ran(tmp_path / "one")
    other = ran(tmp_path / "copy", **{"evaluation.seed": 1})
    assert "ncm (copy)" in side_by_side(tmp_path, one, other)
    monkeypatch.chdir(one)
    assert "ncm (one)" in compare_runs([".", "../copy"], tmp_path / "both").read_text(
        encoding="utf-8"
    )
    assert "Cross-domain few-shot learning: one" in write_page(".").read_text(encoding="utf-8")
    (tmp_path / "deeper").mkdir()
    shutil.copytree(one, tmp_path / "deeper" / "one")
    with pytest.raises(InputError, match="have one name, and rows are"):
        compare_runs([one, tmp_path / "deeper" / "one"], tmp_path / "both")
    with pytest.raises(InputError, match="one stands twice among the runs to compare; give it"):
        compare_runs([one, one], tmp_path / "both")


def test_a_page_of_other_runs_is_not_replaced_silently(tmp_path):
    one, other = ran(tmp_path / "one"), ran(tmp_path / "other", algorithms=["scratch"])
    page = compare_runs([one, other], tmp_path / "both")
    before = page.read_bytes()
    assert compare_runs([other, one], tmp_path / "both", metric="accuracy") == page
    assert page.read_bytes() != before, "the same runs are shown again"
    before = page.read_bytes()
    with pytest.raises(InputError, match=r"has the page of other runs \(../one, ../other") as told:
        compare_runs([one], tmp_path / "both")
    assert "--force" in str(told.value)
    assert page.read_bytes() == before
    compare_runs([one], tmp_path / "both", force=True)
    assert page.read_bytes() != before
    compare_runs([one], tmp_path / "both")
    # A run's own page is no page of a comparison.
    write_page(one)
    with pytest.raises(InputError, match="not known to be over these runs"):
        compare_runs([one, other], one)


def test_an_equal_row_is_shown_once(tmp_path):
    """The row is equal, and the runs are not: one of them has another row too."""
    one = ran(tmp_path / "one")
    other = ran(tmp_path / "other", algorithms=["ncm", "image-statistics"])
    text = side_by_side(tmp_path, one, other)
    table = (tmp_path / "both" / "table.csv").read_text()
    assert "ncm (one)" in table
    assert "ncm (other)" not in table
    assert "image-statistics (other)" in table
    assert "ncm of other is the same as ncm of one" in text


def test_a_metric_that_no_row_has_does_not_cost_the_page(tmp_path):
    run = ran(tmp_path / "run")
    record = read_json(run / "experiment.json")
    record["experiment"]["evaluation"]["metric"] = "mae"
    write_json(run / "experiment.json", record)
    text = write_page(run).read_text(encoding="utf-8")
    assert "No row has the metric mae, which was to lead this page; auroc leads it instead." in text
    assert "auroc" in (run / "table.csv").read_text(encoding="utf-8")
    outcome = run_experiment(
        toy_experiment(algorithms=["ncm"], shots=[1], **{"data.targets": ["hole"]}),
        tmp_path / "other",
    )
    assert "AUROC" in outcome._repr_html_()
    assert "accuracy" in write_page(run, metric="accuracy").read_text(encoding="utf-8")
    assert "accuracy" in (run / "table.csv").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="no row has the metric 'mae'; there are "):
        write_page(run, metric="mae")


@pytest.mark.long
def test_how_intervals_are_made_reaches_tables(tmp_path):
    t, normal = (ran(tmp_path / how, **{"evaluation.interval": how}) for how in ("t", "normal"))
    write_page(t)
    write_page(normal)
    assert "Student's t" in (t / "table.md").read_text(encoding="utf-8")
    assert "normal" in (normal / "table.md").read_text(encoding="utf-8")
    assert "The runs chose t, normal for evaluation.interval: the first is shown." in side_by_side(
        tmp_path, t, normal
    )


def test_weights_that_changed_are_another_experiment(tmp_path):
    path = tmp_path / "mine.safetensors"

    def write(seed):
        save_file(
            {
                name: value.contiguous()
                for name, value in conv4(4, in_channels=1, seed=seed).state_dict().items()
            },
            path,
        )

    write(1)
    changes = {"model.weights": str(path), "model.normalisation": "none"}
    ran(tmp_path / "run", **changes)
    told_of = json.loads((tmp_path / "run" / "provenance.json").read_text(encoding="utf-8"))[
        "weights"
    ]
    assert told_of["file"] == "mine.safetensors"
    ran(tmp_path / "run", **changes)
    write(2)
    with pytest.raises(InputError, match=r"another experiment:\n- model\.weights: the run"):
        ran(tmp_path / "run", **changes)
    write(1)
    path.rename(tmp_path / "renamed.safetensors")
    ran(tmp_path / "run", **{**changes, "model.weights": str(tmp_path / "renamed.safetensors")})


@pytest.mark.slow
def test_learning_is_told_of_the_sources_that_were_learned_from(collection, tmp_path):
    collection.made["specks"] = collection.made["specks"].subset(
        range(8), name=collection.made["specks"].name
    )
    said = []
    settings = {"shots": [1], "data.targets": ["hole"], "meta.min_images": 20, "meta.queries": 8}
    assert run_experiment(
        toy_experiment(algorithms=["protonet"], **settings), tmp_path, say=said.append
    ).complete
    assert "training protonet on 2 of 3 sources, seed 0" in said
    (training,) = (path for path in (tmp_path / "train").glob("*/training.json"))
    found = json.loads(training.read_text(encoding="utf-8"))
    assert len(found["sources"]) == 2
    assert len(found["left_out"]) == 1
    assert "protonet did not learn from 1 of 3" in write_page(tmp_path).read_text(encoding="utf-8")


@pytest.mark.long
@pytest.mark.parametrize("augment", [True, False])
def test_processes_that_read_ahead_change_nothing(tmp_path, augment):
    settings = {"algorithms": ["mm-pt"], "pretraining.augment": augment}
    alone = ran(tmp_path / "a" / "run", **settings)
    helped = ran(tmp_path / "b" / "run", **settings, **{"machine.workers": 1})
    assert RunFolder(alone).records() == RunFolder(helped).records()


def test_a_page_where_everything_failed(collection, tmp_path):
    collection.broken = {"hole"}
    outcome = run_experiment(
        toy_experiment(algorithms=["ncm"], **{"data.targets": ["hole"]}), tmp_path / "run"
    )
    assert not outcome.complete
    assert "the disk is gone" in write_page(tmp_path / "run").read_text(encoding="utf-8")
    assert "the disk is gone" in outcome._repr_html_()
    other = tmp_path / "other"
    shutil.copytree(tmp_path / "run", other)
    assert "the disk is gone" in side_by_side(tmp_path, tmp_path / "run", other)


@pytest.mark.long
def test_records_are_read_once_each(tmp_path, monkeypatch):
    """In time that grows with the rows alone."""
    run = ran(
        tmp_path / "run",
        algorithms=["ncm", "scratch"],
        shots=[1, 2],
        **{"data.targets": ["hole", "specks"]},
    )
    joined, plain = [], Records.__add__
    monkeypatch.setattr(
        Records, "__add__", lambda one, other: joined.append(1) or plain(one, other)
    )
    assert len(RunFolder(run).records()) > 0
    assert not joined


@pytest.mark.long
def test_the_fall_from_balanced_to_natural_supports_is_a_figure(tmp_path):
    rows = {"algorithms": ["ncm", "logistic"], "data.targets": ["hole", "shapes"]}
    one = ran(tmp_path / "balanced", **rows)
    other = ran(tmp_path / "natural", **rows, **{"evaluation.support": "natural"})
    text = side_by_side(tmp_path, one, other)
    assert 'id="natural"' in text
    assert "From balanced supports (small mark) to natural ones" in text
    assert "lack a class" in text
    assert "of every row, with balanced and with natural supports" in text
    figure = text[text.index('id="natural"') :].partition("</svg>")[0]
    assert figure.count('class="chance"') == 1
    assert ">chance<" in figure
    records = RunFolder(other).records()
    missing = {
        (str(target), int(episode))
        for target, episode, reason in zip(
            *(records.columns[name] for name in ("target", "episode", "reason")), strict=True
        )
        if "the support has no sample of" in reason
    }
    assert missing
    counts = [
        read_json(path, hashed=True, advice="").get("missing classes", {})
        for path in sorted((other / "episodes").glob("*.json"))
    ]
    assert all(counts)
    alone = compare_runs([one], tmp_path / "alone").read_text(encoding="utf-8")
    assert 'id="natural"' not in alone
    page = write_page(other).read_text(encoding="utf-8")
    assert "the probability 1 / (n + C)" in page
    assert f"supports that lack a class are {len(missing)} of 12 at 1 shot (" in page
    assert f">{len(missing)} of 12<" in text


@pytest.mark.slow
def test_runs_that_differ_in_more_than_the_support_have_no_figure_of_the_fall(tmp_path):
    one = ran(tmp_path / "balanced")
    other = ran(
        tmp_path / "natural",
        **{"evaluation.support": "natural", "model.backbone": {"name": "conv4", "channels": 2}},
    )
    text = side_by_side(tmp_path, one, other)
    assert 'id="natural"' not in text
    assert "no figure of the fall to natural supports for natural" in text
    assert "balanced also differs in model.backbone.channels" in text
