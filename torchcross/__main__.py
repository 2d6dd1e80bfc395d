"""`python -m torchcross`."""

from __future__ import annotations

from torchcross.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
