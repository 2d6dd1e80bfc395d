"""The study of foundation models on few shots (arXiv 2408.08058), point by point."""

from __future__ import annotations

from torchcross.experiment.settings.protocol_points import ProtocolPoint, Publication
from torchcross.experiment.settings.schema import Experiment

PUBLISHED_BACKBONES = (
    "google/vit-base-patch16-224",
    "google/vit-base-patch16-224-in21k",
    "google/vit-large-patch16-224",
    "google/vit-large-patch16-224-in21k",
    "google/vit-huge-patch14-224-in21k",
    "openai/clip-vit-base-patch16",
    "openai/clip-vit-large-patch14",
    "laion/CLIP-ViT-H-14-laion2B-s32B-b79K",
    "laion/CLIP-ViT-g-14-laion2B-s12B-b42K",
    "ikim-uk-essen/BiomedCLIP_ViT_patch16_224",
    "facebook/dinov2-base",
    "facebook/dinov2-large",
    "facebook/dinov2-giant",
    "microsoft/resnet-18",
    "microsoft/resnet-50",
    "microsoft/resnet-101",
)
"""Repositories of the Hugging Face hub."""

PUBLISHED_SHOTS = (1, 2, 3, 5, 7, 10, 15, 20, 25, 30)
FIXED_PROBE = "fixed-probe"


def _names(experiment: Experiment) -> list[str]:
    model = experiment.model
    return [each.backbone.name for each in model.backbones] or [model.backbone.name]


def _backbones(experiment: Experiment) -> str:
    published = {f"hf:{name}" for name in PUBLISHED_BACKBONES}
    names = _names(experiment)
    own = [name for name in names if name.partition("@")[0] not in published]
    if not own and len(names) == len(published):
        return ""
    others = f", and {', '.join(own)}" if own else ""
    return f"{len(names) - len(own)} of these{others} (`model.backbones`)"


def _features(experiment: Experiment) -> str:
    others = [name for name in _names(experiment) if not name.startswith("hf:")]
    return f"{', '.join(others)}: the features of its own library" if others else ""


def _normalisation(experiment: Experiment) -> str:
    if experiment.model.normalisation:
        return ""
    return "each backbone by the mean and standard deviation that its weights want"


def _choice(experiment: Experiment) -> str:
    if experiment.tuned:
        return "chosen by a search (`tuned`)"
    if "logistic-mean" not in experiment.algorithms:
        return "nothing is searched"
    return "nothing is searched; `logistic-mean` averages over C = 1, 10 and 100 instead"


FEW_SHOT_STUDY = Publication(
    "the few-shot study of foundation models (Woerner and Baumgartner 2024, arXiv 2408.08058) and"
    " its scripts",
    (
        ProtocolPoint(
            "backbones",
            f"16 of the Hugging Face hub: {', '.join(PUBLISHED_BACKBONES)}",
            here=_backbones,
        ),
        ProtocolPoint(
            "features",
            "what transformers' image classifier gets: the class token of a ViT, the mean of the"
            " patch tokens of CLIP, both of DINOv2, the pooled map of a ResNet",
            here=_features,
        ),
        ProtocolPoint(
            "images",
            "224 pixels, three channels",
            {"data.channels": 3},
            "at the size of the data; nothing is resized",
        ),
        ProtocolPoint(
            "normalisation",
            "ImageNet's mean and standard deviation for every backbone, those of CLIP too",
            {"model.normalisation": "imagenet"},
            _normalisation,
        ),
        ProtocolPoint("shots", "1, 2, 3, 5, 7, 10, 15, 20, 25, 30", {"shots": [*PUBLISHED_SHOTS]}),
        ProtocolPoint(
            "tasks",
            "the primary task of each of 19 datasets",
            {"data.targets": []},
        ),
        ProtocolPoint(
            "episodes of a target",
            "100 for each number of shots",
            {"evaluation.episodes": 100, "evaluation.disjoint": False},
            "drawn from a seed (`evaluation.seed`); fewer shots are parts of more shots",
        ),
        ProtocolPoint(
            "queries",
            "10 a class",
            {"evaluation.queries": 10, "evaluation.query": "balanced"},
        ),
        ProtocolPoint(
            "head",
            "a linear head from zero on frozen features, 150 steps of Adam at 1e-4, the whole"
            " support as one batch; such a head has not converged",
            {"algorithms": [FIXED_PROBE]},
        ),
        ProtocolPoint(
            "choice of rate and steps",
            "beside the fixed ones, a search of 10 trials on 10 episodes of each task, scored on"
            " the query sets of the target tasks themselves: its values have seen the test",
            here=_choice,
        ),
        ProtocolPoint("score", "AUROC", {"evaluation.metric": "auroc"}),
    ),
)
