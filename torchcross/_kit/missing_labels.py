"""The label of an entry that nobody has labelled: it contributes nothing, anywhere."""

from __future__ import annotations

from typing import Final

MISSING: Final = -1
