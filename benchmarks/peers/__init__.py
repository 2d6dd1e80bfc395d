"""Other libraries, for comparison: their environment, and how to run a script in it."""

from __future__ import annotations

from benchmarks.peers.environment import PeerError, ensure
from benchmarks.peers.processes import Worker, call, run

__all__ = ["PeerError", "Worker", "call", "ensure", "run"]
