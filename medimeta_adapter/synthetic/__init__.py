"""Generates the whole catalogue: 19 datasets, 54 tasks, 10 domains. No image is real.

The domain decides how an image looks. The labels decide what it shows, by parts that are the same
in every domain, and nothing of how it looks.
"""

from __future__ import annotations

from medimeta_adapter.synthetic import catalog
from medimeta_adapter.synthetic.factors import difficulty
from medimeta_adapter.synthetic.generate import Progress, generate
from medimeta_adapter.synthetic.plan import SCALES, Scale

__all__ = ["SCALES", "Progress", "Scale", "catalog", "difficulty", "generate"]
