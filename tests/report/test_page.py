"""The page: what it says is what the rows say, it needs nothing but itself, and no name can break
it.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.report.browser import write_sample
from tests.report.reading import Node, page_of, read_page
from tests.report.sample import ALGORITHMS, HOSTILE, curves, example, records
from torchcross.errors import InputError, WriteError
from torchcross.records import Records, read_records
from torchcross.report import Curve, write_report

REPLACED = str.maketrans(
    dict.fromkeys("\x00\N{RIGHT-TO-LEFT OVERRIDE}", "\N{REPLACEMENT CHARACTER}")
)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Node:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_sample(path, hostile=False)
    return read_page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Node:
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_sample(path, hostile=True)
    return read_page(path.read_text(encoding="utf-8"))


@pytest.fixture(params=["full", "hostile"])
def page(request: pytest.FixtureRequest) -> Node:
    found: Node = request.getfixturevalue(request.param)
    return found


def test_the_page_needs_nothing_beside_it(page: Node) -> None:
    for node in page.walk():
        for name in ("src", "href", "action", "data", "poster", "srcset"):
            address = node.attributes.get(name, "#")
            assert address.startswith(("#", "data:")), f"<{node.name} {name}={address[:60]}>"
    style = page.all("style")[0].text
    assert "url(" not in style
    assert "@import" not in style


def test_the_policy_allows_the_one_script_and_the_one_style(page: Node) -> None:
    policy = next(
        node.attributes["content"] for node in page.all("meta") if "http-equiv" in node.attributes
    )
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for name in ("script", "style"):
        (only,) = page.all(name)
        digest = base64.b64encode(hashlib.sha256(only.text.encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in policy
    # The policy would silence these, so none may be there.
    assert [node.name for node in page.walk() if "style" in node.attributes] == []


def test_it_can_be_read_without_eyes(page: Node) -> None:
    assert page.all("html")[0].attributes["lang"] == "en"
    assert all(node.attributes["alt"].strip() for node in page.all("img"))
    assert {node.attributes.get("scope") for node in page.all("th")} <= {
        "col",
        "row",
        "colgroup",
        "rowgroup",
    }
    assert all(table.all("caption") for table in page.all("table"))
    for drawing in page.all("svg"):
        if drawing.attributes.get("aria-hidden") != "true":
            assert drawing.attributes["role"] == "img"
            assert len(drawing.attributes["aria-label"]) > 10
    identifiers = [node.attributes["id"] for node in page.walk() if "id" in node.attributes]
    assert len(identifiers) == len(set(identifiers))
    links = [
        node.attributes["href"] for node in page.all("a") if node.attributes["href"].startswith("#")
    ]
    assert {link[1:] for link in links} <= set(identifiers)
    named = [node.attributes["aria-labelledby"] for node in page.all("section")]
    assert set(named) <= set(identifiers)
    levels = [int(node.name[1]) for node in page.walk() if re.fullmatch("h[1-6]", node.name)]
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))


def test_sections_of_details_are_folded_and_what_is_read_first_is_open(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_sample(path, hostile=False)
    page = read_page(path.read_text(encoding="utf-8"))
    folded = [node.attributes["id"] for node in page.all("section") if node.all("details", "part")]
    assert folded == ["beyond", "episodes", "curves", "examples", "long", "protocol"]
    for name in folded:
        (part,) = page.by_id(name).all("details", "part")
        assert "open" not in part.attributes
        # Nothing of the section stands beside its fold.
        assert [node for node in page.by_id(name).children if isinstance(node, Node)] == [part]


def test_plots_are_well_formed(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_sample(path, hostile=True)
    drawings = re.findall(r"<svg .*?</svg>", path.read_text(encoding="utf-8"), re.DOTALL)
    assert len(drawings) > 20
    for drawing in drawings:
        ElementTree.fromstring(drawing)


def test_hostile_names_are_text(hostile: Node) -> None:
    assert len(hostile.all("script")) == 1
    assert not any(name.startswith("on") for node in hostile.walk() for name in node.attributes)
    name = HOSTILE.split("\x00")[0].translate(REPLACED)
    headers = [button.text.strip() for button in hostile.all("table", "headline")[0].all("button")]
    assert headers[1:4] == [name + algorithm for algorithm in ALGORITHMS]
    assert name in hostile.all("h1")[0].text
    for place in ("missing", "protocol", "provenance", "curves", "examples", "episodes"):
        assert name in hostile.by_id(place).text


def test_no_name_can_make_the_file_unreadable(tmp_path: Path) -> None:
    rows = records(2, 1, episodes=3)
    found = page_of(tmp_path, rows, title="\x00\x1b\ud800 title", protocol={"\ufffe": "\udfff"})
    assert found.all("h1")[0].text == "\N{REPLACEMENT CHARACTER}" * 3 + " title"


def test_the_rows_come_back_to_the_bit(full: Node, tmp_path: Path) -> None:
    address = full.by_id("rows").attributes["href"]
    start = "data:application/gzip;base64,"
    assert address.startswith(start)
    packed = base64.b64decode(address.removeprefix(start))
    assert packed[4:8] == bytes(4), "the time of writing is no part of a report"
    saved = tmp_path / full.by_id("rows").attributes["download"].removesuffix(".gz")
    saved.write_bytes(gzip.decompress(packed))
    assert read_records(saved) == records()


def test_protocol_and_provenance_are_shown_in_full(tmp_path: Path) -> None:
    protocol = {
        "shots": [1, 5],
        "stages": [{"name": "pre-training"}, {"name": "adaptation"}],
        "warm": None,
    }
    found = page_of(
        tmp_path, records(1, 1), protocol=protocol, provenance={"git": {"dirty": False, "tags": []}}
    )
    pairs = [
        node.text
        for node in found.by_id("protocol").walk()
        if node.name in ("dt", "dd") and not node.all("dl")
    ]
    assert pairs == [
        "shots",
        "1, 5",
        "stages",
        "1",
        "name",
        "pre-training",
        "2",
        "name",
        "adaptation",
        "warm",
        "none",
    ]
    assert found.by_id("provenance").all("dl")[-1].text == "dirtynotagsnone"


def test_lists_of_lists_keep_apart_what_is_apart(tmp_path: Path) -> None:
    found = page_of(
        tmp_path, records(1, 1), protocol={"related": [["a", "b"], ["c", "d"]], "weights": ""}
    )
    assert [node.text for node in found.by_id("protocol").all("dd")[1:]] == [
        "a, b",
        "c, d",
        "none given",
    ]


def test_curves_and_examples_are_there_when_given(full: Node, tmp_path: Path) -> None:
    plots = full.by_id("curves").all("svg")
    assert len([plot for plot in plots if "aria-label" in plot.attributes]) == 5
    assert len(full.by_id("examples").all("img")) == 3 + 6 + 12 + 1 + 3 + 3
    bare = page_of(tmp_path, records(1, 1))
    assert not {"curves", "examples"} & {node.attributes.get("id") for node in bare.walk()}


def test_equal_input_gives_equal_pages(tmp_path: Path) -> None:
    rows, shown = records(2, 1), {"curves": curves(), "examples": [example()]}
    one, other = (
        write_report(
            rows, tmp_path / name, title="t", protocol={"a": 1}, provenance={}, **shown
        ).read_bytes()
        for name in ("one.html", "other.html")
    )
    assert one == other


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    rows = records(1, 1, episodes=2)
    with pytest.raises(InputError, match=r"report\.html"):
        write_report(rows, tmp_path / "page.txt", title="", protocol={}, provenance={})
    with pytest.raises(WriteError, match="cannot be written"):
        page_of(tmp_path / "none", rows)
    with pytest.raises(InputError, match="no records"):
        page_of(tmp_path, rows[:0])
    with pytest.raises(InputError, match="choose from"):
        page_of(tmp_path, rows, metric="qwk")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace"])
def test_a_report_that_fails_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    rows, path = records(1, 1, episodes=2), tmp_path / "report.html"
    path.write_text("the one before")

    def full_disk(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(step, full_disk)
    with pytest.raises(WriteError, match="No space left"):
        page_of(tmp_path, rows)
    assert path.read_text() == "the one before"
    assert [found.name for found in tmp_path.iterdir()] == ["report.html"]


def test_a_target_in_two_domains_is_refused(tmp_path: Path) -> None:
    rows = records(1, 1, episodes=2)
    domains = ["elsewhere", *rows.columns["domain"][1:]]
    with pytest.raises(InputError, match="'elsewhere' and 'domain0'"):
        page_of(tmp_path, Records({**rows.columns, "domain": domains}))


def test_labels_of_curves_keep_the_colours_of_their_algorithms(tmp_path: Path) -> None:
    shown = [
        Curve("mm-pt", "loss", [1, 2], [1.0, 0.5]),
        Curve("teacher", "loss", [1, 2], [0.9, 0.4]),
    ]
    found = page_of(tmp_path, records(1, 1), curves=shown).by_id("curves")
    assert [line.classes for line in found.all("path", "line")] == [["line", "s1"], ["line", "s3"]]
