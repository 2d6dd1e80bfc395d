from __future__ import annotations

from benchmarks.functional.suite import main

main()
