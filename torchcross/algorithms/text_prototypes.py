"""Zero-shot prediction: images are compared with texts of classes (Radford et al. 2021)."""

from __future__ import annotations

from functools import partial
from typing import Any, Unpack, final

from torch import Tensor, nn

from torchcross.algorithms._shared.closed_form import Fit
from torchcross.algorithms._shared.text_form import TextForm
from torchcross.algorithms.options import LaneOptions
from torchcross.heads import text_head
from torchcross.targets import Target
from torchcross.text import Texts

Tree = dict[str, Tensor]


@final
class TextPrototypes(TextForm):
    """Scores an image by its cosine with the text of each class, times the scale of the texts.

    Binary targets take the score of class 1 less that of class 0, multi-label targets that of each
    label less that of the text "nothing", ordinal targets their grades as classes. A support set is
    not read: `adapt` takes an empty one too, and predicts the same from any. The backbone is the
    image tower of the model that made the texts. Training steps differentiate its features. The
    BatchNorm policy is `frozen`. `EpisodicOptions` describes the other options.
    """

    def __init__(self, backbone: nn.Module, texts: Texts, **options: Unpack[LaneOptions]) -> None:
        super().__init__(backbone, texts, **options)

    def head_fit(self, target: Target) -> Fit:
        return partial(_of_texts, self.texts.scale)

    def protocol(self) -> dict[str, Any]:
        return {
            "algorithm": "TextPrototypes",
            **self._text_protocol(),
            **self.common_protocol(),
        }


def _of_texts(scale: float, features: Tensor, own: Tree, data: Tree) -> Tree:
    return text_head(data["texts"], scale, features)
