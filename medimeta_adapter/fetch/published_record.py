"""The published record of MedIMeta: its files, with sizes and checksums, from the record's API."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torchcross.errors import FetchError

DOI = "10.5281/zenodo.7884735"
RECORD = "7884735"
SERVER = "https://zenodo.org"

_CHECKSUM = re.compile(r"md5:[0-9a-f]{32}|sha256:[0-9a-f]{64}")
_FILE_NAME = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)
_LARGEST = 1 << 42


@dataclass(frozen=True)
class RecordFile:
    """A file of the record; `checksum` begins with the name of its method, as in `md5:...`."""

    name: str
    size: int
    checksum: str
    url: str


@dataclass(frozen=True)
class PublishedRecord:
    """One version of the record. `license` is that of the whole, as its page states it."""

    id: str
    doi: str
    version: str
    license: str
    files: tuple[RecordFile, ...]


def api_address(server: str, record: str) -> str:
    """Where the API describes the record; the number of all versions leads to the newest one."""
    return f"{server.rstrip('/')}/api/records/{record}"


def file_address(server: str, record: str, name: str) -> str:
    return f"{server.rstrip('/')}/records/{record}/files/{name}?download=1"


def parse_record(content: bytes, server: str) -> PublishedRecord:
    """The record in an answer of the API. Nothing in it can lead to another server or folder."""
    try:
        answer = json.loads(content)
        number = str(answer["id"])
        if not re.fullmatch(r"[0-9]{1,20}", number):
            raise ValueError(f"its id is {number[:40]!r}")
        metadata = answer.get("metadata", {})
        return PublishedRecord(
            id=number,
            doi=_text(answer.get("doi")) or _text(metadata.get("doi")),
            version=_text(metadata.get("version")),
            license=_text(_mapping(metadata.get("license")).get("id")),
            files=tuple(_file(entry, server, number) for entry in answer["files"]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FetchError(
            f"what {server} says of the record cannot be read ({type(error).__name__}: {error}); is"
            " it the server of the record? Try again later, or give another --server"
            " (server=)"
        ) from error


def _file(entry: Mapping[str, Any], server: str, record: str) -> RecordFile:
    name, size, checksum = entry["key"], entry["size"], entry["checksum"]
    if not isinstance(name, str) or not _FILE_NAME.fullmatch(name):
        raise ValueError(f"it names a file {name!r}")
    if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < _LARGEST:
        raise ValueError(f"it says that {name!r} has {size!r} bytes")
    if not isinstance(checksum, str) or not _CHECKSUM.fullmatch(checksum):
        raise ValueError(f"it has no checksum of {name!r}")
    return RecordFile(name, size, checksum, file_address(server, record, name))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
