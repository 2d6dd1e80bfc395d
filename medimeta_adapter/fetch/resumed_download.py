"""Downloads over HTTP that go on where they stopped, by Range and If-Range."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from torchcross._kit.whole_files import write_whole
from torchcross.errors import FetchError, MissingExtraError

# What arrived of a block is lost where the connection ends.
_BLOCK = 1 << 16
_LONGEST_ANSWER = 16 << 20
_BUSY = (429, 500, 502, 503, 504)
_FIRST_WAIT = 1.0


class Unreachable(FetchError):
    """A server gave no answer, or was cut off again and again."""


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    timeout       seconds without an answer, or without a byte of it
    attempts      failures one after the other, without a byte between them
    longest_wait  seconds that the server may ask to wait; after them it is refused
    wait          called with seconds
    """

    timeout: float = 60
    attempts: int = 5
    longest_wait: float = 300
    wait: Callable[[float], object] = field(default_factory=lambda: threading.Event().wait)


class HttpClient:
    """Asks one server, waits where it says so, and tries again where it fails."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._requests = _import_requests()
        self._session = self._requests.Session()

    def read(self, url: str) -> bytes:
        """A short answer."""
        content = bytearray()
        with self.answer(url, {"Accept": "application/json"}) as answer:
            _refuse_status(url, answer, (200,))
            with self.failures_explained(url):
                for block in answer.iter_content(_BLOCK):
                    content += block
                    if len(content) > _LONGEST_ANSWER:
                        raise FetchError(f"{url} answers with more than {_LONGEST_ANSWER:,} bytes")
        return bytes(content)

    @contextmanager
    def answer(self, url: str, headers: Mapping[str, str]) -> Iterator[Any]:
        """An answer whose status asks for no patience; its body is not read yet."""
        response = self._patient_answer(url, {"Accept-Encoding": "identity", **headers})
        try:
            yield response
        finally:
            response.close()

    @contextmanager
    def failures_explained(self, url: str) -> Iterator[None]:
        try:
            yield
        except self._requests.RequestException as error:
            raise Unreachable(f"{url}: {type(error).__name__}: {_short(error)}") from error

    def _patient_answer(self, url: str, headers: Mapping[str, str]) -> Any:
        for attempt in range(self.patience.attempts):
            with self.failures_explained(url):
                response = self._session.get(
                    url, headers=headers, stream=True, timeout=self.patience.timeout
                )
            if response.status_code not in _BUSY:
                return response
            seconds = _seconds_to_wait(response, attempt)
            response.close()
            if seconds > self.patience.longest_wait:
                raise FetchError(
                    f"{url} is busy (status {response.status_code}) and asks to wait {seconds:.0f}"
                    " s; run the same again later, what has arrived is kept"
                )
            self.patience.wait(seconds)
        raise FetchError(
            f"{url} stays busy (status {response.status_code}); run the same again later, what has"
            " arrived is kept"
        )


def download(
    client: HttpClient,
    url: str,
    part: Path,
    size: int,
    progress: Callable[[int, int], object] = lambda done, total: None,
) -> None:
    """Bring a file of `size` bytes into `part`, which may have the beginning from an earlier call.

    The beginning counts if the server says that the file has not changed since: a strong ETag, or
    the time of its last change, is kept beside the part.
    """
    failures = 0
    while (start := _usable_bytes(part, url, size)) < size or not part.exists():
        try:
            _continue(client, url, part, start, size, progress)
        except Unreachable:
            failures = 1 if _length(part) > start else failures + 1
            if failures >= client.patience.attempts:
                raise
            client.patience.wait(_FIRST_WAIT * 2 ** (failures - 1))
    state_of(part).unlink(missing_ok=True)


def remove_part(part: Path) -> None:
    """Remove an unfinished download."""
    part.unlink(missing_ok=True)
    state_of(part).unlink(missing_ok=True)


def _continue(
    client: HttpClient,
    url: str,
    part: Path,
    start: int,
    size: int,
    progress: Callable[[int, int], object],
) -> None:
    """Ask for the rest once, and append what comes."""
    headers = {}
    if start:
        headers = {"Range": f"bytes={start}-", "If-Range": _state(part)["validator"]}
    with client.answer(url, headers) as answer:
        _refuse_status(url, answer, (200, 206, 416) if start else (200,))
        if start and not _is_the_rest(answer, start, size):
            # Another file, or a server that cannot go on.
            remove_part(part)
            if answer.status_code != 200:
                raise Unreachable(f"{url}: the server cannot go on from byte {start:,}")
            start = 0
        if not start:
            state = {"url": url, "size": size, "validator": _validator(answer.headers)}
            write_whole(state_of(part), json.dumps(state))
        with part.open("ab" if start else "wb") as file, client.failures_explained(url):
            for block in answer.iter_content(_BLOCK):
                if start + len(block) > size:
                    raise FetchError(f"{url} is longer than the {size:,} bytes of the record")
                file.write(block)
                start += len(block)
                progress(start, size)
    if start < size:
        raise Unreachable(f"{url}: the connection ended after {start:,} of {size:,} bytes")


def _is_the_rest(answer: Any, start: int, size: int) -> bool:
    match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+)", answer.headers.get("Content-Range", ""))
    return (
        answer.status_code == 206
        and match is not None
        and ((int(match[1]), int(match[3])) == (start, size))
    )


def _usable_bytes(part: Path, url: str, size: int) -> int:
    """How much of a part can be gone on from; a part that cannot is removed."""
    length, state = _length(part), _state(part)
    fits = state.get("url") == url and state.get("size") == size
    if length == size and fits:
        return size
    if length and not (fits and state.get("validator") and length < size):
        remove_part(part)
        return 0
    return length


def _state(part: Path) -> dict[str, Any]:
    try:
        state = json.loads(state_of(part).read_bytes())
    except (OSError, ValueError):
        return {}
    return state if isinstance(state, dict) else {}


def state_of(part: Path) -> Path:
    """The file that says what a part is of."""
    return part.with_name(f"{part.name}.json")


def _length(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _validator(headers: Mapping[str, str]) -> str:
    """What If-Range may have: a weak ETag does not promise the same bytes."""
    etag: str = headers.get("ETag", "")
    if etag.startswith('"'):
        return etag
    return headers.get("Last-Modified", "")


def _seconds_to_wait(response: Any, attempt: int) -> float:
    """What the server asks for, by its own clock, or twice as long each time."""
    asked = response.headers.get("Retry-After", "")
    if asked.isdigit():
        return float(asked)
    now = _time(response.headers.get("Date", ""))
    until = _time(asked)
    reset = response.headers.get("X-RateLimit-Reset", "")
    if until is None and reset.isdigit():
        until = float(reset)
    if now is not None and until is not None:
        return max(until - now, _FIRST_WAIT)
    return float(_FIRST_WAIT * 2**attempt)


def _time(text: str) -> float | None:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _refuse_status(url: str, answer: Any, expected: tuple[int, ...]) -> None:
    if answer.status_code in expected:
        return
    advice = "look at the page of the record, and fetch it by hand if it has moved"
    if answer.status_code in (401, 403):
        advice = "the record, or the way to it, asks for a log-in; fetch it by hand"
    raise FetchError(f"{url} answers {answer.status_code} ({answer.reason}); {advice}")


def _import_requests() -> Any:
    try:
        import requests
    except ImportError as error:
        raise MissingExtraError(
            "downloads need pooch and requests; install torchcross-fewshot[download]"
        ) from error
    return requests


def _short(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")[:300]
