"""One domain left out. Its public names are those of `medimeta_adapter`."""

from __future__ import annotations

__all__: list[str] = []
