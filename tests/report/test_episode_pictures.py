"""An episode has its images on the page: the support by class, the query with its answers."""

from __future__ import annotations

import base64
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.report.reading import Node, page_of, rows_of
from tests.report.sample import answers, records
from torchcross._kit.pixels import Pixels, thumbnail_uri
from torchcross.records import Records
from torchcross.report import Picture
from torchcross.report.episode_answers import EpisodeAnswers, EpisodePictures, QueryAnswer
from torchcross.report.episode_pictures import ROW_BUDGET, SIDE

LEADER = "im-pt"


@pytest.fixture(scope="module")
def rows() -> Records:
    """Scores fall along the algorithms, so that the first one leads."""
    return records(2, 1, shots=(5,), episodes=8)


def noise(count: int, side: int = 80) -> list[Pixels]:
    words = np.random.Philox(5).random_raw(count * side * side * 3)
    return list((words % 256).astype(np.uint8).reshape(count, side, side, 3))


def folds_of(page: Node, target: int = 1) -> list[Node]:
    """The folds of the answers of a target."""
    (_, *folds) = page.by_id(f"episodes-{target}").all("details")
    return folds


def heading_of(fold: Node) -> str:
    return fold.all("summary")[0].text


def test_the_leaders_episodes_have_pictures_and_stand_first(tmp_path: Path, rows: Records) -> None:
    page = page_of(tmp_path, rows, answers=answers(rows))
    for target in (1, 2):
        folds = folds_of(page, target)
        assert len(folds) == 9
        assert all("open" not in fold.attributes for fold in folds)
        assert all("screen" in fold.classes for fold in folds), "paper leaves them out"
        for fold in folds[:3]:
            assert heading_of(fold).startswith(f"{LEADER}, 5 shots")
            assert heading_of(fold).endswith("with pictures")
            assert len(fold.all("img")) == 6 + 12
        assert not any(fold.all("img") for fold in folds[3:])
        assert all(fold.all("ul", "answers") for fold in folds[3:])


def test_a_picture_says_its_truth_and_its_answer_without_colour(
    tmp_path: Path, rows: Records
) -> None:
    fold = folds_of(page_of(tmp_path, rows, answers=answers(rows)))[0]
    groups = fold.all("div", "by-class")[0].all("div")[1:]
    assert [group.all("p")[0].text for group in groups] == ["disc: 2", "square: 2", "star: 2"]
    assert groups[0].all("img")[0].attributes["alt"] == "support image, disc"
    items = fold.all("ul", "pictures")[-1].all("li")
    assert ["wrong" in item.classes for item in items] == [True] * 3 + [False] * 9
    wrong, right = items[0], items[-1]
    assert "✗ square" in wrong.text
    assert "truth: disc" in wrong.text
    assert "✓ star" in right.text
    assert "truth" not in right.text
    assert wrong.all("img")[0].attributes["alt"] == "query image 1, truth disc, predicted square"


def test_probabilities_that_are_nearly_alike_have_a_decimal(tmp_path: Path, rows: Records) -> None:
    def texts(*shares: float, which: str) -> list[str]:
        one = answers(rows)[0]
        own = [replace(each, probability=0.25) for each in one.answers]
        own[-len(shares) :] = [QueryAnswer(90, "star", "star", share) for share in shares]
        told = [replace(one, answers=tuple(own))]
        fold = folds_of(page_of(tmp_path, rows, answers=told, pictures=which))[0]
        pictured = "in percent" in "".join(title.text for title in fold.all("p", "shelf"))
        assert pictured == (which == "leader")
        return [item.text for item in fold.all("li") if "image 90" in item.text]

    assert texts(0.2549, 0.2651, which="leader") == [
        "✓ starimage 90, 25.5 %",
        "✓ starimage 90, 26.5 %",
    ]
    assert texts(0.2549, 0.9, which="leader") == ["✓ starimage 90, 25 %", "✓ starimage 90, 90 %"]
    assert texts(0.2549, which="none") == ["image 90: ✓ star, probability 25.5 %"]
    assert texts(float("nan"), which="leader") == ["✓ starimage 90"]


def test_all_rows_have_pictures_or_none(tmp_path: Path, rows: Records) -> None:
    for which, count in (("all", 9), ("none", 0)):
        page = page_of(tmp_path, rows, answers=answers(rows), pictures=which)
        assert sum(bool(fold.all("img")) for fold in folds_of(page)) == count


def test_where_the_leader_has_no_answers_the_next_row_is_shown(
    tmp_path: Path, rows: Records
) -> None:
    told = [each for each in answers(rows) if each.algorithm != LEADER]
    page = page_of(tmp_path, rows, answers=told)
    first, second, _ = rows_of(page.all("table", "card")[0])
    assert first.all("th")[0].text == LEADER
    folds = folds_of(page)
    shown = {heading_of(fold).partition(",")[0] for fold in folds[:3]}
    assert shown == {second.all("th")[0].text}
    assert folds[0].all("img")


def big(one: EpisodeAnswers, problem: str = "") -> EpisodeAnswers:
    """An episode with more pictures than a page has room for."""
    support = tuple(Picture(each, f"class {n % 4}") for n, each in enumerate(noise(120)))
    query = noise(200)
    own = tuple(QueryAnswer(n, "a", "a" if n % 2 else "b", 0.5) for n in range(len(query)))
    pictures = EpisodePictures(support, tuple(query), problem)
    return replace(one, answers=own, read_pictures=lambda: pictures)


def test_a_page_has_room_for_so_many_pictures_and_names_the_rest(
    tmp_path: Path, rows: Records
) -> None:
    few = [big(each) for each in answers(rows)]
    page = page_of(tmp_path, rows, answers=few)
    size = (tmp_path / "report.html").stat().st_size
    page_of(tmp_path, rows, answers=few, pictures="none")
    assert size - (tmp_path / "report.html").stat().st_size <= ROW_BUDGET
    fold = folds_of(page)[0]
    counts = [group.all("p")[0].text for group in fold.all("div", "by-class")[0].all("div")[1:]]
    assert len(counts) == 4
    shown = [int(text.partition(" of 30")[0].rpartition(" ")[2]) for text in counts]
    assert max(shown) - min(shown) <= 1, "each class has a picture before any has another"
    assert min(shown) >= 1
    pictured, listed = (fold.all("ul", name)[-1].all("li") for name in ("small", "answers"))
    assert 0 < len(pictured) < 200
    assert len(pictured) + len(listed) == 200
    assert all("wrong" in item.classes for item in pictured)
    assert f"And {len(listed)} more, without pictures" in fold.text


def test_why_there_are_no_pictures_is_one_line(tmp_path: Path, rows: Records) -> None:
    told = [big(each, problem="the data are elsewhere") for each in answers(rows)]
    fold = folds_of(page_of(tmp_path, rows, answers=told))[0]
    assert not fold.all("img")
    assert [each.text for each in fold.all("p", "note")] == ["No pictures: the data are elsewhere."]
    assert len(fold.all("ul", "answers")[0].all("li")) == 200


def test_an_answer_without_a_truth_is_neither_right_nor_wrong(
    tmp_path: Path, rows: Records
) -> None:
    one = answers(rows)[0]
    own = (QueryAnswer(3, "unknown", "cyst", 0.5, has_truth=False), *one.answers[1:])
    for which in ("leader", "none"):
        told = [replace(one, answers=own)]
        fold = folds_of(page_of(tmp_path, rows, answers=told, pictures=which))[0]
        assert "3 of 12 query answers wrong" in heading_of(fold)
        (item,) = [item for item in fold.all("li") if "image 3" in item.text and "?" in item.text]
        assert "? cyst" in item.text
        assert "wrong" not in item.classes


@pytest.mark.parametrize("shape", [(80, 60), (80, 60, 3), (20, 30), (1, 1, 3)])
def test_thumbnails_are_small_and_equal_pixels_have_equal_bytes(shape: tuple[int, ...]) -> None:
    y, x = np.indices(shape[:2])
    grey = (x * 255 // shape[1] + y) % 256
    pixels = (grey if len(shape) == 2 else np.stack([grey, grey // 2, 255 - grey], 2)).astype(
        np.uint8
    )
    address = thumbnail_uri(pixels, SIDE)
    assert address == thumbnail_uri(pixels.copy(), SIDE)
    content = base64.b64decode(address.partition("base64,")[2])
    picture = Image.open(BytesIO(content))
    assert (picture.format, picture.mode) == ("PNG", "P")
    assert max(picture.size) == min(SIDE, max(shape[:2]))
    assert not picture.info.keys() & {"date", "Software"}
    small = Image.fromarray(pixels)
    small.thumbnail((SIDE, SIDE), Image.Resampling.LANCZOS)
    error = np.abs(np.asarray(picture.convert(small.mode), int) - np.asarray(small, int))
    assert error.mean() < 8
