"""Several backbones in one experiment: rows of every algorithm with each, apart from each other."""

import argparse
import json

import pytest
import torch

from medimeta_adapter.synthetic import generate
from tests.command_line import run
from tests.experiment.conftest import toy_experiment
from torchcross import backbones
from torchcross.cli.experiment_flags import add_flags, experiment_of
from torchcross.errors import InputError
from torchcross.experiment import (
    BackboneSettings,
    RunFolder,
    experiment_from_values,
    read_experiment,
    run_experiment,
    verify_run,
    write_page,
)
from torchcross.experiment.rows.methods import METHODS, rows_of_experiment
from torchcross.experiment.run.checks import check_experiment
from torchcross.experiment.run.experiment_job import with_absolute_paths
from torchcross.experiment.run.identity import decisive_settings, identity
from torchcross.experiment.run.run_status import run_status
from torchcross.experiment.run.stored_shots import shots_of_stored
from torchcross.experiment.settings.model_settings import label_of_backbone
from torchcross.experiment.settings.plain import as_plain
from torchcross.experiment.settings.published import compared_with_publication
from torchcross.experiment.settings.row_settings import experiment_of_row
from torchcross.experiment.tuning.trials import spaces_of
from torchcross.records import ALL_SHOTS

SMALL = {"name": "conv4", "channels": 2, "label": "small"}
LARGE = {"name": "conv4", "channels": 4, "label": "large"}


def several(*entries, **changes):
    chosen = {"algorithms": ["ncm", "protonet", "image-statistics"], "shots": [1], **changes}
    return toy_experiment(**{"model.backbones": list(entries or (SMALL, LARGE)), **chosen})


def of_model(**model):
    return experiment_from_values({"data": {"folder": "nowhere"}, "model": model})


def saved(path, seed):
    torch.save(backbones.conv4(2, in_channels=1, seed=seed).state_dict(), path)
    return str(path)


# -- settings --------------------------------------------------------------------------------------


def test_each_algorithm_has_a_row_for_each_backbone_and_one_without_a_backbone_has_one():
    experiment = several()
    assert rows_of_experiment(experiment) == (
        *("ncm @ small", "protonet @ small"),
        *("ncm @ large", "protonet @ large"),
        "image-statistics",
    )
    assert METHODS["ncm @ small"] is METHODS["ncm"]
    assert "ncm @ small" not in METHODS
    with pytest.raises(InputError, match="no row is called 'nmc'; did you mean 'ncm'"):
        METHODS["nmc @ small"]
    one = experiment_of_row(experiment, "ncm @ large").model
    assert (one.backbone, one.backbones) == (BackboneSettings("conv4", {"channels": 4}), ())
    assert experiment_from_values(as_plain(experiment)) == experiment


@pytest.mark.parametrize(
    ("address", "label"),
    [
        ("resnet18", "resnet18"),
        ("mobilenet_v2=weights/m.pth", "mobilenet_v2"),
        ("timm:vit_small_patch14_dinov2.lvd142m", "vit_small_patch14_dinov2.lvd142m"),
        ("hf:facebook/dinov2-base@main", "dinov2-base"),
        ("hf:./snapshots/dinov2-base/", "dinov2-base"),
        ("open_clip:ViT-B-16/openai", "ViT-B-16/openai"),
        ("open_clip:./snapshots/biomed", "biomed"),
        ("torchvision:resnet50/IMAGENET1K_V2", "resnet50/IMAGENET1K_V2"),
    ],
)
def test_a_label_is_the_short_name_of_a_backbone(address, label):
    assert label_of_backbone(address) == label


def test_a_list_of_one_is_the_one_backbone_and_a_label_keeps_it_a_list():
    entry = {"name": "conv4", "channels": 2, "weights": "w.pth", "normalisation": "none"}
    one = of_model(backbones=[entry])
    table = {"name": "conv4", "channels": 2}
    assert one == of_model(backbone=table, weights="w.pth", normalisation="none")
    assert rows_of_experiment(of_model(backbones=["conv4"]))[0] == "scratch"
    assert rows_of_experiment(of_model(backbones=[SMALL]))[0] == "scratch @ small"


def test_the_layer_that_comes_last_says_whether_there_is_one_backbone_or_several():
    both = of_model(backbones=["conv4", "resnet18"])
    assert both.model.labels == ("conv4", "resnet18")
    values = {"data": {"folder": "f"}, "model": {"backbones": ["conv4", "resnet18"]}}
    assert experiment_from_values(values, {"model.backbone": "conv4"}).model.labels == ()
    values["model"] = {"backbone": {"name": "conv4", "channels": 2}, "weights": "w.pth"}
    several_flags = {"model.backbones": ["conv4", "resnet18"]}
    flagged = experiment_from_values(values, several_flags)
    assert flagged.model == both.model
    # The backbone of the preset gives way too, and its options do not leak into an entry.
    quick = experiment_from_values({"preset": "quick", "data": {"folder": "f"}}, several_flags)
    assert quick.model == both.model


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"backbones": ["conv4", "conv4"]}, "has conv4 twice; give each entry a label"),
        ({"backbones": ["conv4", "resnet18"], "weights": "w.pth"}, "is for one backbone"),
        ({"backbones": ["conv4", "resnet18"], "backbone": "conv4"}, "give one backbone or several"),
        ({"backbones": ["conv4", {"channels": 2}]}, r"backbones\[1\] has no name"),
        ({"backbones": ["conv4", 3]}, r"backbones\[1\] is 3; give a name, or a table"),
        ({"backbones": "conv4"}, "give a list"),
        (
            {"backbones": [{"name": "conv4", "lable": "small"}, "conv4"]},
            r"model\.backbones\[0\] has 'lable', which .* did you mean 'label'\? .*'channels'",
        ),
        (
            {"backbones": [{"name": "conv4", "chanels": 3}]},
            r"has 'chanels', which is no .* option of 'conv4'; did you mean 'channels'\?",
        ),
        (
            {"backbones": [{"name": "timm:resnet10t", "normalization": "keras"}]},
            r"did you mean 'normalisation'\?",
        ),
        ({"backbones": [{**SMALL, "label": "a @ b"}]}, "give a label without '@'"),
        ({"backbones": [{**SMALL, "weights": 3}]}, r"backbones\[0\].weights is 3; give a text"),
        ({"backbones": [{**SMALL, "normalisation": "clip"}]}, "normalisation is 'clip'; give one"),
    ],
)
def test_what_contradicts_itself_is_refused(model, message):
    with pytest.raises(InputError, match=message):
        of_model(**model)


def test_an_entry_has_weights_and_a_normalisation_of_its_own(tmp_path):
    own = {**SMALL, "weights": saved(tmp_path / "w.pth", 1), "normalisation": "none"}
    experiment = several(own, LARGE, algorithms=["ncm", "scratch"], **{"data.channels": 3})
    small, large = (experiment_of_row(experiment, f"ncm @ {name}") for name in ("small", "large"))
    assert (small.model.has_weights, small.model.normalisation) == (True, "none")
    assert (large.model.has_weights, large.model.normalisation) == (False, "")
    shared = several(SMALL, LARGE, **{"model.normalisation": "keras", "data.channels": 3})
    assert experiment_of_row(shared, "ncm @ large").model.normalisation == "keras"
    needs = several(own, LARGE, algorithms=["im-pt"])
    with pytest.raises(InputError, match="'im-pt @ large' starts from published weights"):
        check_experiment(needs)


def test_paths_of_entries_are_looked_for_beside_the_file(tmp_path, monkeypatch):
    saved(tmp_path / "w.pth", 1)
    (tmp_path / "e.toml").write_text(
        '[data]\nfolder = "d"\n[[model.backbones]]\nname = "conv4"\nlabel = "a"\n'
        'weights = "w.pth"\n'
        '[[model.backbones]]\nname = "conv4=w.pth"\nlabel = "b"\n'
    )
    first, second = read_experiment(tmp_path / "e.toml").model.backbones
    assert first.weights == str(tmp_path / "w.pth")
    assert second.backbone.name == f"conv4={tmp_path / 'w.pth'}"
    # A worker may have another working folder.
    monkeypatch.chdir(tmp_path)
    relative = several({**SMALL, "weights": "w.pth"}, LARGE)
    assert with_absolute_paths(relative).model.backbones[0].weights == str(tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("arguments", "labels"),
    [
        (["--backbones", "conv4, resnet18"], ("conv4", "resnet18")),
        (["--backbone", "conv4", "--backbone", "resnet18"], ("conv4", "resnet18")),
        (["--backbone", "resnet50", "--backbones", "conv4,resnet18"], None),
        (["--backbones", "conv4"], ()),
    ],
)
def test_backbones_on_the_command_line(arguments, labels):
    parser = argparse.ArgumentParser()
    add_flags(parser)
    options = parser.parse_args(["--data", "d", *arguments])
    options.config = None
    model = experiment_of(options).model
    assert model.labels == (("resnet50", "conv4", "resnet18") if labels is None else labels)
    assert labels or labels is None or model.backbone.name == "conv4"


def test_settings_of_an_algorithm_hold_for_its_rows_and_those_of_a_row_for_it_alone():
    rows = {"ncm": {"evaluation.steps": 3}, "ncm @ large": {"evaluation.steps": 7}}
    experiment = several(rows=rows)
    steps = {
        row: experiment_of_row(experiment, row).evaluation.steps for row in ("ncm @ small", *rows)
    }
    assert steps == {"ncm @ small": 3, "ncm": 3, "ncm @ large": 7}
    with pytest.raises(
        InputError, match=r"there is no backbone 'lrage'; model.backbones has small"
    ):
        several(rows={"ncm @ lrage": {"evaluation.steps": 3}})
    with pytest.raises(InputError, match=r"called 'nmc @ large'; did you mean 'ncm @ large'"):
        check_experiment(several(rows={"nmc @ large": {"evaluation.steps": 3}}))


def test_a_search_has_a_space_for_each_row():
    space = {"space": {"meta.lr": [1e-3, 1e-2]}, "rows": {"protonet": {"meta.steps": [2, 3]}}}
    spaces = spaces_of(several(tune=space))
    assert sorted(spaces["protonet @ small"]) == sorted(spaces["protonet @ large"])
    assert sorted(spaces["protonet @ small"]) == ["meta.lr", "meta.steps"]
    assert not spaces["ncm @ small"]


def test_all_labels_are_known_by_the_algorithm_of_a_row():
    assert shots_of_stored("supervised @ small", 0) == ALL_SHOTS
    assert shots_of_stored("ncm @ small", 0) == 0


def test_a_run_is_known_by_each_of_its_backbones(tmp_path):
    first, second = (saved(tmp_path / f"{seed}.pth", seed) for seed in (1, 2))
    entry = {**SMALL, "weights": first}
    known = identity(several(entry, LARGE))
    others = (
        several({**entry, "weights": second}, LARGE),
        several({**entry, "label": "other"}, LARGE),
        several(entry, {**LARGE, "channels": 8}),
        several(entry, {**LARGE, "normalisation": "none"}),
        several(entry, LARGE, {**LARGE, "label": "third"}),
    )
    assert len({known, *map(identity, others)}) == 6
    moved = tmp_path / "elsewhere.pth"
    moved.write_bytes((tmp_path / "1.pth").read_bytes())
    assert identity(several({**entry, "weights": str(moved)}, LARGE)) == known
    assert str(tmp_path) not in json.dumps(decisive_settings(several(entry, LARGE)))
    address = several(
        {"name": f"conv4={first}", "channels": 2, "label": "a", "normalisation": "none"}, LARGE
    )
    assert str(tmp_path) not in json.dumps(decisive_settings(address))


def test_what_is_published_of_one_backbone_is_not_said_of_several():
    (point,) = (one for one in compared_with_publication(several()) if one.point == "backbone")
    assert point.here == "`model.backbones`: small, large"


# -- runs ------------------------------------------------------------------------------------------


@pytest.mark.long
def test_rows_are_those_of_runs_with_one_backbone_each(tmp_path, collection):
    target = {"data.targets": ["hole"]}
    outcome = run_experiment(several(**target), tmp_path / "both")
    assert outcome.complete
    folder = outcome.folder
    table = {key: value for key, value in LARGE.items() if key != "label"}
    plain = {"algorithms": ["ncm", "protonet"], "shots": [1], "model.backbone": table, **target}
    alone = run_experiment(toy_experiment(**plain), tmp_path / "alone").records
    for name in ("ncm", "protonet"):
        row = outcome.records.where(algorithm=f"{name} @ large")
        same = alone.where(algorithm=name)
        assert row.columns["value"].tolist() == same.columns["value"].tolist()
    values = {
        row: outcome.records.where(algorithm=row).columns["value"].tolist()
        for row in folder.algorithms
    }
    assert values["ncm @ small"] != values["ncm @ large"]
    names = [path.name for path in (folder.path / "train").iterdir()]
    assert sum(name.startswith("protonet___small-") for name in names) > 0
    assert {path.name.partition("-seed")[0] for path in (folder.path / "rows").iterdir()} == {
        *("ncm___small", "ncm___large", "protonet___small", "protonet___large"),
        "image_statistics",
    }


@pytest.mark.long
def test_status_verification_and_page_know_the_rows(tmp_path, collection):
    experiment = several(algorithms=["ncm", "logistic"])
    folder = run_experiment(experiment, tmp_path / "run").folder
    assert (run_status(folder.path).cells, run_status(folder.path).cells_done) == (8, 8)
    page = write_page(folder.path).read_text()
    assert "logistic @ large" in page
    check = verify_run(folder.path)
    assert check.holds, str(check)
    next((folder.path / "rows").glob("ncm___large*")).unlink()
    assert run_status(folder.path).cells_done == 7
    assert not verify_run(folder.path).holds
    # The same again makes it, and one of another backbone is refused.
    assert run_experiment(experiment, folder.path).complete
    with pytest.raises(InputError, match=r"another experiment:\n- model\.backbones: the"):
        run_experiment(
            several(SMALL, {**LARGE, "channels": 8}, algorithms=["ncm", "logistic"]), folder.path
        )


def test_the_weights_of_each_backbone_are_recorded(tmp_path, collection):
    entry = {**SMALL, "weights": saved(tmp_path / "w.pth", 1), "normalisation": "none"}
    folder = run_experiment(several(entry, LARGE, algorithms=["ncm"]), tmp_path / "run").folder
    weights = folder.plain("provenance.json")["weights"]
    assert list(weights) == ["small"]
    assert weights["small"]["file"] == "w.pth"


@pytest.mark.long
def test_the_preset_of_the_study_runs_as_it_is_typed(capsys, tmp_path, monkeypatch):
    generate(tmp_path / "data", scale="tiny", size=16, only=["oct", "bus"])
    monkeypatch.chdir(tmp_path)
    typed = "run --data data --preset medimeta-fsl --shots 1,2 --backbones conv4,resnet18 --jobs 1"
    small = [
        *("--episodes", "2", "--set", "evaluation.queries=2", "--set", "evaluation.min_images=8"),
        *("--out", "run", "--quiet", "--targets", "bus"),
    ]
    status, out, err = run(capsys, *typed.split(), *small)
    assert (status, err) == (0, "")
    assert "| logistic-mean @ resnet18, 2 shots |" in out
    folder = RunFolder("run")
    assert len(folder.algorithms) == 8
    protocol = folder.plain("protocol.json")
    assert protocol["published"]["publication"].startswith("the few-shot study")
    assert "1 of these" not in str(protocol["published"])
    assert 'id="backbones"' in (tmp_path / "run" / "report.html").read_text()
