"""A server on this machine that answers as the API of the published record does."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ALL_VERSIONS, NEWEST = "7884735", "8000001"
CHANGED = "Tue, 05 Mar 2024 10:00:00 GMT"
NOW = "Mon, 01 Jan 2024 00:00:00 GMT"


@dataclass
class RecordServer:
    """Files by name, and faults: for a path, what happens to its next requests, one after another.

    A fault is ("cut", bytes), ("busy", status, headers), ("status", status), or ("whole",): the
    answer is 200 whatever range is asked for.
    """

    files: dict[str, bytes]
    faults: dict[str, list[tuple[Any, ...]]] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=lambda: {"Last-Modified": CHANGED})
    etags: bool = True
    changes: dict[str, Any] = field(default_factory=dict)
    requests: list[tuple[str, str | None, int]] = field(default_factory=list)
    address: str = ""

    def record(self) -> dict[str, Any]:
        """What the API says, with the parts that matter of many more."""
        files = [
            {
                "id": f"file-{name}",
                "key": name,
                "size": len(content),
                "checksum": f"md5:{hashlib.md5(content).hexdigest()}",
                "links": {"self": f"https://elsewhere.example/{name}"},
            }
            for name, content in self.files.items()
        ]
        metadata = {"version": "1.2", "license": {"id": "cc-by-nc-sa-4.0"}, "title": "MedIMeta"}
        record = {"id": int(NEWEST), "doi": f"10.5281/zenodo.{NEWEST}", "metadata": metadata}
        return {**record, "files": files, **self.changes}

    def ranges(self, name: str) -> list[str | None]:
        """The ranges that were asked for of a file, in order."""
        return [wanted for path, wanted, _ in self.requests if path == f"/content/{name}"]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: RecordServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        queue = self.state.faults.get(path, [])
        fault = queue.pop(0) if queue else ("none",)
        name = path.removeprefix("/content/")
        if fault[0] in ("busy", "status"):
            self.say(fault[1], b"later", fault[2] if fault[0] == "busy" else {})
        elif path == f"/api/records/{ALL_VERSIONS}":
            self.say(302, b"", {"Location": f"/api/records/{NEWEST}"})
        elif path == f"/api/records/{NEWEST}":
            self.say(200, json.dumps(self.state.record()).encode(), {})
        elif path.startswith(f"/records/{NEWEST}/files/"):
            self.say(302, b"", {"Location": f"/content/{path.rpartition('/')[2]}"})
        elif name in self.state.files:
            self.send_content(self.state.files[name], fault)
        else:
            self.say(404, b"nothing here", {})

    def send_content(self, content: bytes, fault: tuple[Any, ...]) -> None:
        headers = dict(self.state.headers)
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        if self.state.etags:
            headers["ETag"] = etag
        start = 0
        wanted = self.headers.get("Range")
        fits = self.headers.get("If-Range") in (etag, headers.get("Last-Modified"), None)
        if wanted and fits and fault[0] != "whole":
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.say(416, b"", {"Content-Range": f"bytes */{len(content)}"})
                return
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        most = fault[1] if fault[0] == "cut" else len(content)
        self.say(206 if start else 200, content[start:], headers, most)

    def say(
        self, status: int, body: bytes, headers: Mapping[str, str], most: int | None = None
    ) -> None:
        path = self.path.partition("?")[0]
        self.state.requests.append((path, self.headers.get("Range"), status))
        self.send_response_only(status)
        for name, value in {"Date": NOW, **headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body[:most])
        if most is not None and most < len(body):
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """A client that goes away in the middle is no news."""


@contextmanager
def serve_record(files: Mapping[str, bytes]) -> Iterator[RecordServer]:
    state = RecordServer(dict(files))
    handler = type("_HandlerOfOne", (_Handler,), {"state": state})
    with _Server(("127.0.0.1", 0), handler) as server:
        state.address = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield state
        finally:
            server.shutdown()
