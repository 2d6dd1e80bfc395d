"""The whole catalogue, generated: 19 datasets, 54 tasks, 10 domains of made-up images. Nothing in
them is real data.

How an image looks depends on its domain, what it shows on its labels, by parts that are the same in
every domain.
"""

from __future__ import annotations

from medimeta_adapter.synthetic.factors import difficulty
from medimeta_adapter.synthetic.generate import Progress, generate
from medimeta_adapter.synthetic.plan import SCALES, Scale

__all__ = ["SCALES", "Progress", "Scale", "difficulty", "generate"]
