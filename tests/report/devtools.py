"""A headless Chromium over a pipe: the DevTools protocol, NUL-separated JSON on file descriptors 3
and 4.
"""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PATIENCE = 120.0


def found_browser() -> str | None:
    """The first of `NAMES` on PATH."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Page:
    """One tab. `said` collects what went to the console or wrong; `asked` every address that was
    requested.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self._commands, self._answers = commands, answers
        self._number = 0
        self._read = b""
        self._session: str | None = None
        self._loaded = False
        self.said: list[str] = []
        self.asked: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **arguments: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": arguments}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer.get("result", {})

    def open(self, path: Path) -> None:
        self._loaded = False
        self.call("Page.navigate", url=path.resolve().as_uri())
        while not self._loaded:
            self._next()

    def value(self, script: str) -> Any:
        """What the expression evaluates to, promises awaited."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in found:
            raise RuntimeError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def press(self, key: str, code: int) -> None:
        text = {"text": "\r"} if key == "Enter" else {"text": " "} if key == " " else {}
        for kind in ("keyDown", "keyUp"):
            more = text if kind == "keyDown" else {}
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **more
            )

    def show_as(self, scheme: str, width: int, height: int, *, scale: float = 1.0) -> None:
        """A screen of this size that prefers this colour scheme."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=width < 600,
        )
        self.call(
            "Emulation.setEmulatedMedia",
            media="",
            features=[{"name": "prefers-color-scheme", "value": scheme}],
        )

    def print_as(self, scheme: str) -> None:
        """What a sheet of paper looks like, from a system that prefers this colour scheme."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.call("Emulation.setEmulatedMedia", media="print", features=features)

    def screenshot(self, path: Path, *, whole: bool = False) -> None:
        found = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(found["data"]))

    def _next(self) -> dict[str, Any]:
        end = monotonic() + PATIENCE
        while b"\0" not in self._read:
            if not select.select([self._answers], [], [], max(0.0, end - monotonic()))[0]:
                raise TimeoutError(f"the browser said nothing for {PATIENCE:g} s")
            part = os.read(self._answers, 1 << 20)
            if not part:
                raise RuntimeError("the browser closed")
            self._read += part
        line, _, self._read = self._read.partition(b"\0")
        answer: dict[str, Any] = json.loads(line)
        self._note(answer.get("method", ""), answer.get("params", {}))
        return answer

    def _note(self, method: str, event: dict[str, Any]) -> None:
        match method:
            case "Page.loadEventFired":
                self._loaded = True
            case "Runtime.consoleAPICalled":
                self.said.append(f"console.{event['type']}: {event['args']}")
            case "Runtime.exceptionThrown":
                self.said.append(f"exception: {event['exceptionDetails']}")
            case "Log.entryAdded":
                self.said.append(f"log: {event['entry']['text']}")
            case "Network.requestWillBeSent":
                self.asked.append(event["request"]["url"])


@contextmanager
def opened(browser: str) -> Iterator[Page]:
    """A page of a fresh browser, closed at the end."""
    to_read, to_write = os.pipe(), os.pipe()
    # A user namespace is what the sandbox stands on, and root has none to give in most containers.
    alone = ["--no-sandbox"] if os.geteuid() == 0 else []
    with TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = [
            "--headless",
            "--remote-debugging-pipe",
            f"--user-data-dir={profile}",
            "--disable-gpu",
            *alone,
        ]
        options += ["--no-first-run", "--disable-dev-shm-usage", "--hide-scrollbars"]
        wired = f'exec "$0" "$@" 3<&{to_read[0]} 4>&{to_write[1]}'
        process = subprocess.Popen(
            ["bash", "-c", wired, browser, *options],
            pass_fds=(to_read[0], to_write[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_read[0])
        os.close(to_write[1])
        try:
            yield Page(to_read[1], to_write[0])
        finally:
            os.close(to_read[1])
            os.close(to_write[0])
            process.terminate()
            process.wait(30)
