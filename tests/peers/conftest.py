"""The peers' environment for the tests that compare with other libraries; built once, then
reused. `make packages` runs these tests, and `make test` only those that need no such environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from benchmarks.peers import ensure, run
from benchmarks.peers.child import Arrays

_WITH_PEERS = ["test_medimeta_*.py", "test_meta_gradients.py", "test_scripts.py"]
collect_ignore_glob = [] if os.environ.get("PEERS") else _WITH_PEERS


@pytest.fixture(scope="session")
def in_peers() -> Callable[..., Arrays]:
    """`in_peers(script, *args, **arrays)` calls a script's `main` beside the peers; returns its
    arrays.
    """
    ensure()
    return run
