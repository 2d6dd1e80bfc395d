"""`torchcross features`: files of features that runs look for."""

import pytest
import torch
from safetensors.torch import save_file

from medimeta_adapter.synthetic import generate
from torchcross import backbones
from torchcross._kit import progress
from torchcross.cli import main
from torchcross.data import FeatureFile

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two datasets, and the weights of two backbones."""
    root = tmp_path_factory.mktemp("features")
    generate(root / "data", scale="tiny", size=16, only=("oct", "bus"))
    for seed in (1, 2):
        net = backbones.conv4(in_channels=1, seed=seed)
        save_file(net.state_dict(), root / f"weights{seed}.safetensors")
    return root


def command(place, out, *more, weights=(1,)):
    names = ",".join(f"conv4={place}/weights{seed}.safetensors" for seed in weights)
    common = ("--channels", "1", "--device", "cpu", "--normalisation", "none", "--out", str(out))
    return ["features", "--data", str(place / "data"), "--backbones", names, *common, *more]


def noted_starts(monkeypatch):
    """Of each bar, how many there are of how many when it begins."""
    starts, plain = [], progress.ProgressBar

    def bar(total, *names, start=0, **how):
        starts.append((start, total))
        return plain(total, *names, start=start, **how)

    monkeypatch.setattr(progress, "ProgressBar", bar)
    return starts


def test_a_file_for_each_dataset_and_backbone(place, tmp_path, capsys, monkeypatch):
    assert main(command(place, tmp_path, "--jobs", "1", weights=(1, 2))) == 0
    written, said = capsys.readouterr()
    assert written == f"{tmp_path}: 4 of 4 files of features\n"
    assert said.count(" by conv4=") == 4
    files = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert len(files) == 4
    for path in files:
        FeatureFile(path).check()
    starts = noted_starts(monkeypatch)
    assert main(command(place, tmp_path, "--jobs", "1", weights=(1, 2))) == 0
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == files
    assert starts == [(4, 4)], "the bar begins with what is there"


def test_random_weights_are_warned_of(place, tmp_path, capsys):
    names = ["--backbones", "conv4", "--targets", "bus", "--channels", "1", "--device", "cpu"]
    more = ["--out", str(tmp_path), "--jobs", "1", "--quiet"]
    assert main(["features", "--data", str(place / "data"), *names, *more]) == 0
    assert "warning: conv4 has random weights" in capsys.readouterr().err
    assert main(command(place, tmp_path / "b", "--jobs", "1", "--quiet")) == 0
    assert "random weights" not in capsys.readouterr().err


@pytest.mark.long
def test_several_processes_make_the_same_files(place, tmp_path):
    alone, together = tmp_path / "alone", tmp_path / "together"
    assert main(command(place, alone, "--jobs", "1", "--quiet")) == 0
    assert main(command(place, together, "--jobs", "2", "--quiet")) == 0
    contents = [
        {path.name: path.read_bytes() for path in folder.iterdir()} for folder in (alone, together)
    ]
    assert contents[0] == contents[1]
    assert len(contents[0]) == 2


def test_a_run_takes_the_features_that_are_there(place, tmp_path, capsys):
    assert main(command(place, tmp_path / "features", "--jobs", "1", "--quiet")) == 0
    run = [
        *("run", "--data", str(place / "data"), "--channels", "1", "--algorithms", "ncm"),
        *("--backbone", f"conv4={place}/weights1.safetensors", "--shots", "1", "--episodes", "2"),
        *("--set", "model.normalisation=none", "--set", "evaluation.min_images=2"),
        *("--set", "evaluation.queries=2"),
        *("--set", "data.leave_out=dataset", "--device", "cpu", "--jobs", "1"),
        *("--set", f"data.features={tmp_path}/features", "--out", str(tmp_path / "run")),
    ]
    assert main(run) == 0
    assert capsys.readouterr().err.count(f": features of {tmp_path}/features/") == 2


def test_targets_types_and_views_are_chosen(place, tmp_path):
    pytest.importorskip("kornia")
    more = ("--targets", "bus", "--dtype", "float16", "--views", "2", "--jobs", "1", "--quiet")
    assert main(command(place, tmp_path, *more)) == 0
    (path,) = tmp_path.iterdir()
    record = FeatureFile(path).record
    assert (record.dtype, record.views) == ("float16", 2)
    assert path.name.startswith("bus_")


def test_a_backbone_that_breaks_is_an_error_of_its_files(place, tmp_path, capsys):
    net = backbones.conv4(in_channels=1)
    with torch.no_grad():
        for value in net.parameters():
            value.fill_(3e38)
    save_file(net.state_dict(), place / "weights9.safetensors")
    assert main(command(place, tmp_path, "--jobs", "1", weights=(9, 1))) == 1
    written, said = capsys.readouterr()
    assert "2 of 4 files of features" in written
    assert said.count("failed: ") == 2
    assert "NaN or infinite" in said
    assert len(list(tmp_path.glob("*.safetensors"))) == 2


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--targets", "octt"), "did you mean 'oct'"),
        (("--views", "0"), "views=0 is not an integer of at least 1"),
        (("--jobs", "0"), "engine.jobs is 0"),
    ],
)
def test_wrong_arguments_are_refused(place, tmp_path, capsys, more, message):
    assert main([*command(place, tmp_path), "--jobs", "1", *more]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.safetensors"))


def test_no_backbone_is_refused(capsys):
    for named in ([], ["--backbones", ","]):
        assert main(["features", "--data", "x", *named]) == 2
        assert "no backbone is named" in capsys.readouterr().err
