"""Predictions with the names of their classes, as values and as notebooks show them."""

from xml.etree import ElementTree

import pytest
import torch

from tests.algorithms.cases import TARGETS, Net, episode_of
from torchcross.algorithms import LinearProbe, NamedPrediction, ProtoNet


@pytest.mark.slow
def test_names_and_metrics():
    for name, target in TARGETS.items():
        episode = episode_of(target)
        prediction = LinearProbe(Net(), steps=30, lr=0.1).adapt(episode.support, episode.task)(
            episode.query.x
        )
        assert prediction.classes == target.classes
        assert len(prediction.names) == len(episode.query)
        decided = [
            part for row in prediction.names for part in ([row] if isinstance(row, str) else row)
        ]
        assert set(decided) <= set(target.classes), name
        assert set(target.evaluate(prediction.plain, episode.query.y)) == set(
            target.default_metrics
        )


def test_a_prediction_shows_its_answers_and_no_tensors():
    episode = episode_of(TARGETS["binary"])
    prediction = ProtoNet(Net()).adapt(episode.support, episode.task)(episode.query.x)
    assert repr(prediction).startswith("NamedPrediction(6 samples: ")
    assert "tensor" not in repr(prediction)


def test_a_table_has_a_row_for_each_answer_up_to_twenty():
    probabilities = torch.tensor([[0.25, 0.75]]).expand(23, 2)
    prediction = NamedPrediction(probabilities, torch.ones(23, dtype=torch.long), ("<no>", "a & b"))
    shown = prediction._repr_html_()
    tree = ElementTree.fromstring(f"<div>{shown}</div>")
    rows = [[cell.text for cell in row.findall("td")] for row in tree.iter("tr")][1:]
    assert rows == 20 * [["a & b", "0.25", "0.75"]]
    assert [head.text for head in tree.iter("th")] == ["answer", "<no>", "a & b"]
    assert "and 3 more" in shown
    labels = NamedPrediction(probabilities[:1], torch.zeros(1, 2, dtype=torch.long), ("x", "y"))
    assert "<td>none of them</td>" in labels._repr_html_()
