"""A writer that does not sync."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip syncing: no test looks at a power cut, and a busy disk takes longer than the tests."""
    monkeypatch.setattr(os, "sync", lambda: None)
