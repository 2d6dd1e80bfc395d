"""The flags of `torchcross features`, and when it says what; nothing is made."""

import pytest

from torchcross.cli import experiment_flags, features, main


@pytest.fixture
def events(monkeypatch):
    """What is said, and that the features are made."""
    noted = []

    def make(job, embeddings, engine, *, quiet):
        noted.append("made")
        noted.extend(each.model.backbone.name for each in embeddings.experiments)
        return 0

    monkeypatch.setattr(features, "_make", make)
    monkeypatch.setattr(experiment_flags, "say", lambda line: noted.append(line.partition(";")[0]))
    return noted


def command(*more):
    return ["features", "--data", "x", "--device", "cpu", "--jobs", "1", *more]


def test_a_quiet_command_warns_with_the_result(events):
    warning = "warning: conv4 has random weights"
    assert main(command("--backbones", "conv4")) == 0
    assert events == [warning, "made", "conv4"]
    events.clear()
    assert main(command("--backbones", "conv4", "--quiet")) == 0
    assert events == ["made", "conv4", warning]


def test_backbones_are_named_one_by_one_or_together(events):
    names = ("--backbone", "conv4=a,b.pth", "--backbones", "resnet18, conv4")
    assert main(command(*names, "--quiet")) == 0
    assert events[:4] == ["made", "conv4=a,b.pth", "resnet18", "conv4"]
