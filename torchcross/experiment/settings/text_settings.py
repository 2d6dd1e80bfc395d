"""The settings of texts, which rows that know classes by their names read."""

from __future__ import annotations

from dataclasses import dataclass

from torchcross.text import DEFAULT_TEMPLATES
from torchcross.training.options import option, refuse_first


@dataclass(frozen=True, kw_only=True)
class TextSettings:
    """What the rows `text` and `text+logistic` say of classes, and where the vectors come from.

    templates  texts with {class_name}, and {task_name}, {dataset_name} and {domain_identifier} if
               wanted; of several, the mean of their vectors counts
    csv        prompts of your own in place of templates: a file with a column for each class and a
               row for each set of prompts, or a folder with a file DATASET.csv for each dataset.
               "": templates
    vectors    a file of vectors in place of prompts: .safetensors with a tensor for each class, or
               .npy with a row for each. "": the text tower of the backbone's address (open_clip:)
    """

    templates: tuple[str, ...] = option(DEFAULT_TEMPLATES, earlier=DEFAULT_TEMPLATES)
    csv: str = option("", earlier="")
    vectors: str = option("", earlier="")

    def __post_init__(self) -> None:
        refuse_first(
            (not self.templates, "text.templates is empty; give at least one, or leave it out"),
            (
                bool(self.csv and self.vectors),
                f"text.csv={self.csv!r} and text.vectors={self.vectors!r} are two sets of texts;"
                " leave one out",
            ),
        )
