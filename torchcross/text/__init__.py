"""Classes as texts: prompts, and the vectors that a text tower makes of them."""

from __future__ import annotations

from torchcross.text.prompts import DEFAULT_TEMPLATES, PromptTable, class_prompts
from torchcross.text.vectors import TaskTexts, TextEncoder, Texts, TextVectors, text_vectors

__all__ = [
    "DEFAULT_TEMPLATES",
    "PromptTable",
    "TaskTexts",
    "TextEncoder",
    "TextVectors",
    "Texts",
    "class_prompts",
    "text_vectors",
]
