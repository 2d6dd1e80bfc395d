"""The hub's own client, against a server on this machine that answers as the hub does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.packages.snapshots import COMMIT, sha256, vit_of_transformers

PROGRAM = """
import json, sys
from torchcross.backbones import from_address
told = {}
for address in sys.argv[1:]:
    try:
        told[address] = from_address(address).weights.as_dict()
    except Exception as error:
        told[address] = f"{type(error).__name__}: {error}"
print(json.dumps(told))
"""


class _Hub(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    repositories: dict[str, Path]
    requests: list[str]

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        self.requests.append(f"{self.command} {self.path}")
        repository, _, rest = self.path.strip("/").partition("/resolve/")
        revision, _, name = rest.partition("/")
        if repository == "small/gated":
            self._refuse(403, "GatedRepo")
        elif repository not in self.repositories:
            self._refuse(404, "RepoNotFound")
        elif revision not in ("main", COMMIT):
            self._refuse(404, "RevisionNotFound")
        elif not (self.repositories[repository] / name).is_file():
            self._refuse(404, "EntryNotFound")
        else:
            content = (self.repositories[repository] / name).read_bytes()
            self.send_response_only(200)
            headers = {
                "X-Repo-Commit": COMMIT,
                "ETag": f'"{hashlib.sha256(content).hexdigest()}"',
                "Content-Length": str(len(content)),
            }
            for key, value in headers.items():
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(content if with_body else b"")

    def _refuse(self, status: int, code: str) -> None:
        self.send_response_only(status)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Error-Message", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serve_hub(repositories: dict[str, Path]) -> Iterator[tuple[str, list[str]]]:
    requests: list[str] = []
    handler = type("_HubOfOne", (_Hub,), {"repositories": repositories, "requests": requests})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}", requests
        finally:
            server.shutdown()


def ask(addresses: list[str], **environment: str) -> dict[str, object]:
    """What a process of its own gets: the client reads its variables when it is imported."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, *addresses],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answers: dict[str, object] = json.loads(ran.stdout.splitlines()[-1])
    return answers


@pytest.mark.slow
def test_weights_come_through_the_client_once(tmp_path):
    vit_of_transformers(tmp_path / "vit")
    home = str(tmp_path / "home")
    with serve_hub({"small/vit": tmp_path / "vit"}) as (address, requests):
        refused = ["hf:small/other", "hf:small/gated", "hf:small/vit@v9", "timm:small/vit"]
        answers = ask(["hf:small/vit", *refused], HF_ENDPOINT=address, HF_HOME=home)
    record = answers["hf:small/vit"]
    assert record["revision"] == COMMIT
    assert record["sha256"] == sha256(tmp_path / "vit" / "model.safetensors")
    assert record["licence"] == "apache-2.0"
    # All files are of the commit that the first one came from.
    fetched = [line for line in requests if line.startswith("GET /small/vit/")]
    assert f"GET /small/vit/resolve/{COMMIT}/model.safetensors" in fetched
    assert len(fetched) == len(set(fetched))
    assert "the hub has no repository 'small/other'" in answers["hf:small/other"]
    assert "accept them on the page" in answers["hf:small/gated"]
    assert "has no revision 'v9'" in answers["hf:small/vit@v9"]
    assert "names no architecture of timm" in answers["timm:small/vit"]
    # The server is gone: the cache has it all, with or without HF_HUB_OFFLINE.
    for more in ({"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": address}):
        assert ask(["hf:small/vit"], HF_HOME=home, **more)["hf:small/vit"] == record
