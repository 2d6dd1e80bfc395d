"""Downloads that are cut, refused, or of a file that has changed meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medimeta_adapter.fetch import resumed_download
from medimeta_adapter.fetch.resumed_download import HttpClient, Patience, Unreachable, download
from tests.examples import max_examples
from tests.medimeta.record_server import NEWEST, RecordServer, serve_record
from torchcross.errors import FetchError

pytest.importorskip("requests")

CONTENT = bytes(range(256)) * 40
PATH = "/content/a.zip"


@pytest.fixture(autouse=True, scope="module")
def _small_blocks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resumed_download, "_BLOCK", 100)
        yield


@pytest.fixture
def server() -> Iterator[RecordServer]:
    with serve_record({"a.zip": CONTENT}) as state:
        yield state


class Case:
    """A client that does not wait, and notes how long it would."""

    def __init__(self, server: RecordServer, folder: Path, **options: float) -> None:
        self.waits: list[float] = []
        self.server, self.part = server, folder / ".a.zip.part"
        patience = Patience(wait=self.waits.append, **{"timeout": 10, **options})  # type: ignore[arg-type]
        self.client = HttpClient(patience)
        self.url = f"{server.address}/records/{NEWEST}/files/a.zip?download=1"
        self.progress: list[tuple[int, int]] = []

    def run(self) -> bytes:
        download(
            self.client,
            self.url,
            self.part,
            len(CONTENT),
            lambda done, total: self.progress.append((done, total)),
        )
        assert [path.name for path in self.part.parent.iterdir()] == [self.part.name]
        return self.part.read_bytes()


@pytest.fixture
def case(server: RecordServer, tmp_path: Path) -> Case:
    return Case(server, tmp_path)


def test_a_file_comes_whole(case: Case) -> None:
    assert case.run() == CONTENT
    assert case.server.ranges("a.zip") == [None]
    assert case.progress[-1] == (len(CONTENT), len(CONTENT))
    assert case.progress == sorted(case.progress)


def test_a_connection_that_is_cut_goes_on(case: Case) -> None:
    case.server.faults[PATH] = [("cut", 3050), ("cut", 150), ("none",)]
    assert case.run() == CONTENT
    # What arrived of a block is lost with the connection.
    assert case.server.ranges("a.zip") == [None, "bytes=3000-", "bytes=3100-"]
    assert case.waits == [1.0, 1.0]


@pytest.mark.long
@given(cuts=st.lists(st.integers(0, len(CONTENT)), max_size=6), etags=st.booleans())
@max_examples(12)
def test_any_cuts_give_the_same_bytes(
    cuts: list[int], etags: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with serve_record({"a.zip": CONTENT}) as server:
        server.etags = etags
        server.faults[PATH] = [("cut", cut) for cut in cuts]
        case = Case(server, tmp_path_factory.mktemp("cuts"), attempts=8)
        assert case.run() == CONTENT


def test_a_later_process_goes_on(case: Case, tmp_path: Path) -> None:
    case.server.faults[PATH] = [("cut", 5000)] + [("cut", 0)] * 9
    with pytest.raises(Unreachable, match=r"connection|Connection"):
        case.run()
    assert case.part.stat().st_size == 5000
    case.server.faults.clear()
    again = Case(case.server, tmp_path)
    assert again.run() == CONTENT
    assert case.server.ranges("a.zip")[-1] == "bytes=5000-"


@pytest.mark.parametrize("validator", ["etag", "time"])
def test_a_file_that_has_changed_comes_anew(case: Case, tmp_path: Path, validator: str) -> None:
    case.server.etags = validator == "etag"
    case.server.faults[PATH] = [("cut", 5000)] + [("cut", 0)] * 9
    with pytest.raises(Unreachable):
        case.run()
    changed = bytes(reversed(CONTENT))
    case.server.files["a.zip"] = changed
    case.server.headers["Last-Modified"] = "Wed, 06 Mar 2024 10:00:00 GMT"
    case.server.faults.clear()
    assert Case(case.server, tmp_path).run() == changed


def test_a_server_without_a_validator_starts_anew(case: Case) -> None:
    case.server.etags = False
    case.server.headers.clear()
    case.server.faults[PATH] = [("cut", 5000), ("none",)]
    assert case.run() == CONTENT
    assert case.server.ranges("a.zip") == [None, None]


def test_a_weak_etag_is_no_promise(case: Case) -> None:
    case.server.etags = False
    case.server.headers = {"ETag": 'W/"about"'}
    case.server.faults[PATH] = [("cut", 5000), ("none",)]
    assert case.run() == CONTENT
    assert case.server.ranges("a.zip") == [None, None]


def test_a_server_that_knows_no_ranges_starts_anew(case: Case) -> None:
    case.server.faults[PATH] = [("cut", 5000), ("whole",)]
    assert case.run() == CONTENT
    assert case.server.ranges("a.zip") == [None, "bytes=5000-"]


def test_a_range_that_does_not_fit_starts_anew(case: Case) -> None:
    case.server.faults[PATH] = [("cut", 5000), ("status", 416), ("none",)]
    assert case.run() == CONTENT
    assert case.server.ranges("a.zip") == [None, "bytes=5000-", None]


def test_parts_of_other_files_are_not_gone_on_from(case: Case) -> None:
    case.part.write_bytes(b"x" * 500)
    assert case.run() == CONTENT
    case.part.write_bytes(b"x" * 500)
    state = case.part.with_name(f"{case.part.name}.json")
    for text in ("{", "[]", '{"url": "http://other", "size": 10240, "validator": "1"}'):
        state.write_text(text)
        case.part.write_bytes(b"x" * 500)
        assert case.run() == CONTENT


def test_a_file_longer_than_the_record_says(case: Case) -> None:
    case.server.files["a.zip"] = CONTENT + b"x"
    with pytest.raises(FetchError, match=r"is longer than the 10,240 bytes of the record"):
        case.run()


@pytest.mark.parametrize(
    ("headers", "waits"),
    [
        ({"Retry-After": "7"}, [7.0, 7.0]),
        ({"Retry-After": "Mon, 01 Jan 2024 00:00:30 GMT"}, [30.0, 30.0]),
        # In seconds since 1970; the server's clock says 1704067200.
        ({"X-RateLimit-Reset": "1704067245"}, [45.0, 45.0]),
        ({"X-RateLimit-Reset": "1704067100"}, [1.0, 1.0]),
        ({}, [1.0, 2.0]),
    ],
)
def test_a_busy_server_is_waited_for(
    case: Case, headers: dict[str, str], waits: list[float]
) -> None:
    case.server.faults[PATH] = [("busy", 429, headers), ("busy", 503, headers)]
    assert case.run() == CONTENT
    assert case.waits == waits


def test_a_server_that_stays_busy(case: Case) -> None:
    case.server.faults[PATH] = [("busy", 429, {"Retry-After": "3600"})]
    with pytest.raises(FetchError, match=r"status 429\) and asks to wait 3600 s; run the same"):
        case.run()
    case.server.faults[PATH] = [("busy", 503, {})] * 9
    with pytest.raises(FetchError, match=r"stays busy \(status 503\)"):
        case.run()
    assert case.waits == [1.0, 2.0, 4.0, 8.0, 16.0]


@pytest.mark.parametrize(("status", "advice"), [(404, "by hand if it has moved"), (403, "log-in")])
def test_other_answers_end_it(case: Case, status: int, advice: str) -> None:
    case.server.faults[PATH] = [("cut", 5000), ("status", status)]
    with pytest.raises(FetchError, match=rf"answers {status}.*{advice}"):
        case.run()
    assert case.part.stat().st_size == 5000, "what has arrived is kept"


def test_a_server_that_says_nothing(tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as silent:
        server = RecordServer({}, address=f"http://127.0.0.1:{silent.getsockname()[1]}")
        case = Case(server, tmp_path, timeout=0.1, attempts=2)
        with pytest.raises(Unreachable, match=r"ReadTimeout"):
            case.run()


def test_an_answer_that_is_too_long(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumed_download, "_LONGEST_ANSWER", 1000)
    with pytest.raises(FetchError, match="answers with more than 1,000 bytes"):
        case.client.read(case.url)
