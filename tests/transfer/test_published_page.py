"""The page of published tables: its numbers, and what a table may not say."""

from __future__ import annotations

import base64
import csv
import io
from pathlib import Path

import numpy as np
import pytest

from tests.report.reading import Node, cells_of, read_page, rows_of
from tests.transfer.cats_scans_page import FOLDER, write_cats_scans
from tests.transfer.published import cats_scans, read_rows, task2vec_distances
from torchcross.errors import InputError, ReadError
from torchcross.transfer.published import read_pair_numbers, read_results, write_published_page


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Node:
    path = write_cats_scans(tmp_path_factory.mktemp("cats"))
    return read_page(path.read_text(encoding="utf-8"))


def table_of(page: Node, section: str, place: int = 0) -> Node:
    return page.by_id(section).all("table")[place]


def test_the_files_hold_the_table_of_the_tests() -> None:
    results, column = read_results(FOLDER / "results.csv")
    assert column == "auroc"
    assert np.array_equal(results.values, cats_scans().values, equal_nan=True)
    assert results.sources == cats_scans().sources
    task2vec, _ = read_pair_numbers(FOLDER / "distances.csv")
    expected = task2vec_distances()
    for row in read_rows("cats_scans.csv"):
        pair = row["source"], row["target"]
        assert task2vec.means()[pair] == pytest.approx(expected[pair], abs=1e-12)


def test_the_golden_correlations_stand_on_the_page(page: Node) -> None:
    table = table_of(page, "distances")
    values = {}
    for row in rows_of(table):
        name, self_pairs, pairs, *numbers = cells_of(row)
        key = name.text, self_pairs.text
        values[key] = (pairs.text, *(float(cell.attributes["data-value"]) for cell in numbers[::2]))
    experts, task2vec = values["experts", "with"], values["Task2Vec", "with"]
    assert experts[0] == task2vec[0] == "24"
    assert experts[1:4] == pytest.approx((0.238080, 0.291303, 0.184775), abs=2e-6)
    assert task2vec[1:4] == pytest.approx((-0.108839, 0.013519, -0.018520), abs=2e-6)
    experts, task2vec = values["experts", "without"], values["Task2Vec", "without"]
    assert (experts[0], experts[4]) == ("21", pytest.approx(0.225786, abs=2e-6))
    assert (task2vec[0], task2vec[4]) == ("21", pytest.approx(-0.460809, abs=2e-6))


def test_the_page_says_what_limits_the_numbers(page: Node) -> None:
    text = page.by_id("results").text
    assert "imagenet and stl10 have the same distance Task2Vec to every target" in text
    assert "Of the 5 draws of Task2Vec, 2 repeat an earlier one (draw 2, 4): they are 3" in text
    assert "so it leaks" in text
    assert "3 of 27 pairs are missing" in text
    notes = page.by_id("notes").text
    for words in ("Pearson for Spearman", "Self-pairs", "Leaking", "stands in", "differ tenfold"):
        assert words in notes


def test_the_matrix_is_coloured_by_rank_and_blank_where_nothing_is(page: Node) -> None:
    rows = {cells_of(row)[0].text: cells_of(row)[1:] for row in rows_of(table_of(page, "results"))}
    assert [cell.text for cell in rows["kimia"][:2]] == ["", ""]
    assert all("best" in cell.classes for cell in rows["imagenet"])
    assert rows["imagenet"][0].text == "0.946+7.5 ± 1.0"
    (leak,) = [cell for cell in rows["isic"] if "†" in cell.text]
    assert leak.text == "0.880†baseline"
    assert not any(name.startswith("shade") for name in leak.classes)


def test_the_rankings_have_nulls_and_simple_rules(page: Node) -> None:
    table = table_of(page, "rankings")
    rows = {cells_of(row)[0].text: cells_of(row)[1:] for row in rows_of(table)}
    assert {"static (rule)", "random (rule)", "always imagenet (rule)"} <= rows.keys()
    # Three targets have no interval.
    assert rows["experts"][1].text == "−0.250"
    assert "±" not in "".join(row[4].text for row in rows.values() if len(row) > 4)
    assert float(rows["Task2Vec"][2].attributes["data-value"]) > 0.05
    assert page.all("p", "answer")[0].text.startswith("No score beats the static rule")


def test_votes_make_a_map_and_a_lack_of_pairs_none(page: Node) -> None:
    text = page.by_id("tasks").text
    assert "There is no map: the distance of 'imagenet' and 'stl10' is missing" in text
    names = [node.text for node in page.by_id("tasks").all("text", "name")]
    assert {"chest", "dtd", "isic", "stl10", "pcam"} <= set(names)


def test_downloads_hold_the_numbers(page: Node) -> None:
    links = {link.text: link.attributes["href"] for link in page.by_id("download").all("a")}
    text = base64.b64decode(links["pairs.csv"].partition(",")[2]).decode()
    rows = {(row["source"], row["target"]): row for row in csv.DictReader(io.StringIO(text))}
    assert 100 * float(rows["imagenet", "isic"]["gain"]) == pytest.approx(7.511349, abs=1e-5)
    assert rows["kimia", "isic"]["value"] == ""
    assert float(rows["textures", "chest"]["experts"]) == 6
    assert set(links) == {
        *("cells.csv", "matrix.csv", "pairs.csv", "rankings.csv", "correlations.csv"),
    }


def test_a_matrix_is_a_table_too(tmp_path: Path) -> None:
    path = tmp_path / "matrix.csv"
    path.write_text("source,isic,chest\nscratch,.8,.7\nimagenet,.9,\nphotos,.85,.75\n")
    results, column = read_results(path)
    assert (results.sources, results.targets, column) == (
        ("scratch", "imagenet", "photos"),
        ("isic", "chest"),
        "value",
    )
    assert results.matrix().missing == (("imagenet", "chest"),)
    page = read_page(write_published_page(path, tmp_path).read_text(encoding="utf-8"))
    text = page.by_id("results").text
    assert "imagenet → chest" in text
    assert "gain over scratch" in text
    assert "No score and no distance is known" in text


TABLES = [
    ("source,target,auroc\na,t,.5\na,t,.6\n", "'a' -> 't' stands twice"),
    ("source,target,fold,auroc\na,t,0,.5\na,t,0,.6\n", "'a' -> 't', fold 0 stands twice"),
    ("source,target,auroc\n,t,.5\n", ":2 has no source"),
    ("source,target,auroc\na,,.5\n", ":2 has no target"),
    ("source,target,auroc\na,t,high\n", ":2 holds 'high' where a number is expected"),
    ("source,target,auroc\na,t,inf\n", "holds 'inf'"),
    ("source,target,auroc\na,t,\n", "has no value; all its cells are blank"),
    ("source,target,fold,auroc\na,t,,.5\n", "has the fold ''; give a whole number"),
    ("source,target,auroc,qwk\na,t,.5,.4\n", "has 2 columns of values"),
    ("source,auroc,auroc\na,.5,.4\n", r"\['auroc'\] twice"),
    ("source,t,u\na,.5,.4\na,.5,.4\n", "the source 'a' stands twice"),
    ("origin,target,auroc\na,t,.5\n", "none called 'source'"),
    ("source,target,auroc\nISIC,t,.5\nisic,t,.4\n", "'ISIC' and 'isic'; write one name one way"),
    ("source,target,auroc\na,t,.5,.6\n", "has 4 cells where the header has 3"),
    ("source,target,auroc\n", "has no rows"),
]


@pytest.mark.parametrize(("text", "message"), TABLES)
def test_tables_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((InputError, ReadError), match=message):
        read_results(path)


PAIRS = [
    ("source,target,d\na,t,1\na,t,2\n", "'a' -> 't' stands twice"),
    ("source,target\na,t\n", "has no column of numbers"),
    ("source,d\na,1\n", "none called 'target'"),
    ("source,target,draw,d\na,t,one,1\n", "has the draw 'one'"),
]


@pytest.mark.parametrize(("text", "message"), PAIRS)
def test_distances_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises((InputError, ReadError), match=message):
        read_pair_numbers(path)


def test_maps_need_distances_that_are_whole_and_symmetric(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("source,target,d\na,b,1\nb,a,2\n", encoding="utf-8")
    (column,) = read_pair_numbers(path)
    assert "give distances that are the same both ways" in column.task_map().reason
    path.write_text("source,target,d\na,b,1\na,c,2\nb,c,2\n", encoding="utf-8")
    (column,) = read_pair_numbers(path)
    distances = column.task_map().distances
    assert distances is not None
    assert distances.values.tolist() == [[0, 1, 2], [1, 0, 2], [2, 2, 0]]


def test_a_distance_that_lacks_a_pair_says_so(tmp_path: Path) -> None:
    table, pairs = tmp_path / "table.csv", tmp_path / "pairs.csv"
    table.write_text("source,target,auroc\na,t,.5\nb,t,.6\nc,t,.7\n", encoding="utf-8")
    pairs.write_text("source,target,d\na,t,1\nb,t,\n", encoding="utf-8")
    page = write_published_page(table, tmp_path, distances=[pairs])
    assert "lacks 2 pairs that have a value (b → t and c → t)" in page.read_text(encoding="utf-8")


def test_options_that_do_not_fit(tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("source,target,auroc\nphotos,t,.5\nlesions,t,.6\n", encoding="utf-8")
    for options, message in (
        ({"baseline": "scratch"}, "no baseline is called 'scratch'"),
        ({"baseline": "self"}, "have no self-pair"),
        ({"largest": "photo"}, "did you mean 'photos'"),
        ({"metric": "mae"}, "smaller is better"),
        ({"notes": tmp_path / "none.txt"}, "cannot be read"),
        ({"votes": tmp_path / "none.csv"}, "cannot be read"),
        ({"votes": table}, "has the columns"),
        ({"scores": [table, table]}, "two columns or scores are called 'auroc'"),
        ({"scores": [table], "distances": [table]}, "two columns or scores are called"),
    ):
        with pytest.raises((InputError, ReadError), match=message):
            write_published_page(table, tmp_path / "out", **options)
        assert not (tmp_path / "out").exists()
