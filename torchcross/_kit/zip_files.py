"""What zipfile raises for archives that are damaged, cut off or foreign."""

from __future__ import annotations

import zipfile
import zlib
from typing import Final

DAMAGED_ZIP: Final = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError)
"""NotImplementedError: a compression method or a version of the format that it does not know."""

UNREADABLE_MEMBER: Final = (*DAMAGED_ZIP, RuntimeError)
"""What it raises for one member. RuntimeError: it is encrypted, and there is no password."""
