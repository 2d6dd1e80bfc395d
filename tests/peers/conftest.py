"""The peers' environment for the tests that compare with other libraries; built once, then
reused.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.peers import ensure, run
from benchmarks.peers.child import Arrays


@pytest.fixture(scope="session")
def in_peers() -> Callable[..., Arrays]:
    """`in_peers(script, *args, **arrays)` calls a script's `main` beside the peers; returns its
    arrays.
    """
    ensure()
    return run
