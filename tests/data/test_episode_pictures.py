"""Episodes, sources and predictions as notebooks show them."""

from xml.etree import ElementTree

import pytest
import torch

from torchcross import Batch, Episode, Episodes, EpisodeSampler, Task
from torchcross.data import toys
from torchcross.errors import InputError
from torchcross.targets import Binary, MultiClass, MultiLabel, Prediction

KINDS = {
    "binary": toys.binary,
    "multiclass": toys.multiclass,
    "multilabel": toys.multilabel,
    "ordinal": toys.ordinal,
}
SVG = "{http://www.w3.org/2000/svg}"


def episode_of(kind):
    sampler = EpisodeSampler(KINDS[kind](200, size=16), shots=2, queries=3, seed=0)
    return Episodes(sampler)[0]


def as_tree(svg):
    return ElementTree.fromstring(svg)


def answers(episode, decisions):
    return Prediction(torch.zeros(len(decisions), 1), decisions, None)


@pytest.mark.parametrize("kind", KINDS)
def test_every_image_of_an_episode_is_drawn_once(kind):
    episode = episode_of(kind)
    sheet = episode.show()
    tree = as_tree(sheet.svg)
    assert len(tree.findall(f"{SVG}image")) == len(episode.support) + len(episode.query)
    assert as_tree(episode._repr_html_()).tag == f"{SVG}svg"
    headings = [row.heading for row in sheet.rows if row.heading]
    assert headings == ["Support", "Query"]
    if kind != "multilabel":
        assert [row.title for row in sheet.rows] == 2 * list(episode.task.classes)


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_answers_are_named_and_right_ones_are_not(kind):
    episode = episode_of(kind)
    truth = episode.query.y
    all_right = episode.show(answers(episode, truth))
    assert all(
        picture.is_right and not picture.note
        for row in all_right.rows[1:]
        for picture in row.pictures
        if picture.is_right is not None
    )
    assert f"Query: {len(truth)} of {len(truth)} right" in all_right.svg
    other = truth.clone()
    other[0] = 1 - other[0] if kind in ("binary", "multilabel") else (other[0] + 1) % 3
    sheet = episode.show(answers(episode, other))
    assert f"Query: {len(truth) - 1} of {len(truth)} right" in sheet.svg
    wrong = [each for row in sheet.rows for each in row.pictures if each.is_right is False]
    (mistake,) = wrong
    assert mistake.note


def test_unknown_answers_are_neither_right_nor_wrong():
    task = Task("t", Binary(["no", "yes"]))
    query = Batch(torch.rand(2, 1, 8, 8), torch.tensor([-1, 1]))
    support = Batch(torch.rand(2, 1, 8, 8), torch.tensor([0, 1]))
    sheet = Episode(support, query, task).show(answers(None, torch.tensor([1, 1])))
    assert [row.title for row in sheet.rows] == ["no", "yes", "yes", "unknown"]
    assert [each.is_right for row in sheet.rows[2:] for each in row.pictures] == [True, None]


def test_an_image_without_any_known_label_is_not_counted():
    task = Task("t", MultiLabel(["a", "b"]))
    query = Batch(torch.rand(3, 1, 8, 8), torch.tensor([[-1, -1], [1, -1], [0, 1]]))
    support = Batch(torch.rand(2, 1, 8, 8), torch.tensor([[0, 1], [1, 0]]))
    decisions = torch.tensor([[1, 0], [1, 1], [1, 1]])
    sheet = Episode(support, query, task).show(answers(None, decisions))
    notes = {row.title: [(each.is_right, each.note) for each in row.pictures] for row in sheet.rows}
    assert notes["unknown"] == [(None, "a")]
    assert notes["a"] == [(True, "")]
    assert notes["b"] == [(False, "a, b")]
    assert "Query: 1 of 2 right (blue); wrong answers in orange; 1 without a label" in sheet.svg


def test_a_class_may_be_called_unknown():
    task = Task("t", Binary(["known", "unknown"]))
    query = Batch(torch.rand(3, 1, 8, 8), torch.tensor([1, 1, -1]))
    support = Batch(torch.rand(2, 1, 8, 8), torch.tensor([0, 1]))
    sheet = Episode(support, query, task).show(answers(None, torch.tensor([1, 0, 1])))
    assert [[each.is_right for each in row.pictures] for row in sheet.rows[2:]] == [
        [True, False],
        [None],
    ]
    assert "Query: 1 of 2 right" in sheet.svg


def test_long_rows_and_hostile_names():
    names = ["<script>alert(1)</script>", 'a "quoted" & long name of a class']
    task = Task("<b>t</b>", MultiClass(names))
    support = Batch(torch.rand(30, 3, 8, 8), torch.arange(30) % 2)
    sheet = Episode(support, support, task).show()
    texts = [text.text for text in as_tree(sheet.svg).iter(f"{SVG}text")]
    assert texts.count("and 5 more") == 4
    assert "<script>" not in sheet.svg


def test_what_cannot_be_drawn():
    task = Task("t", Binary(["no", "yes"]))
    vectors = Batch(torch.rand(2, 5), torch.tensor([0, 1]))
    assert "float32[2, 5]" in Episode(vectors, vectors, task)._repr_html_()
    with pytest.raises(InputError, match="give \\(N, 1 or 3, height, width\\)"):
        Episode(vectors, vectors, task).show()
    images = Batch(torch.rand(2, 1, 8, 8), torch.tensor([0, 1]))
    with pytest.raises(InputError, match="give the prediction of this query"):
        Episode(images, images, task).show(answers(None, torch.tensor([1])))


def test_a_sheet_is_a_file(tmp_path):
    sheet = episode_of("binary").show()
    sheet.save(tmp_path / "episode.svg")
    assert (tmp_path / "episode.svg").read_text(encoding="utf-8") == sheet.svg
    assert repr(sheet).startswith("PictureSheet('hole', 4 rows, ")


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_counts_its_classes(kind):
    source = KINDS[kind](200, size=8)
    tree = as_tree(f"<div>{source._repr_html_()}</div>")
    cells = [cell.text for cell in tree.iter("td")]
    assert cells == [str(part) for pair in source.counts().items() for part in pair]


def test_long_names_that_begin_alike_are_told_apart():
    task = Task("views", MultiClass(["synthetic 0", "synthetic 1", "synthetic 2"]))
    images, labels = torch.zeros(3, 1, 8, 8), torch.arange(3)
    episode = Episode(Batch(images, labels), Batch(images, labels), task)
    drawn = episode.show(answers(episode, torch.tensor([1, 2, 0]))).svg
    texts = [each.text for each in as_tree(drawn).findall(f"{SVG}text")]
    assert {"synt…ic 0", "synt…ic 1", "synt…ic 2"} <= set(texts)
