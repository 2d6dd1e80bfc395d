"""What all tests share: Hypothesis profiles, and two threads, so that little depends on the
host.
"""

from __future__ import annotations

import os

# Before torch is imported, and inherited by every subprocess that a test starts.
os.environ.setdefault("OMP_NUM_THREADS", "2")
os.environ.setdefault("MKL_NUM_THREADS", "2")

import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(2)

# A busy machine is no reason to fail: no deadlines, and slow generation is not an error.
settings.register_profile(
    "dev",
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")
