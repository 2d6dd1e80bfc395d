"""Backbones: images (N, C, H, W) to features (N, num_features), and strictly loaded weights."""

from __future__ import annotations

from torchcross.backbones.addresses import from_address, text_tower
from torchcross.backbones.base import Backbone, BackboneSpec
from torchcross.backbones.batch_norm_removal import without_batch_norm
from torchcross.backbones.build import add_backbone, build
from torchcross.backbones.conv4 import conv4
from torchcross.backbones.efficientnet_lite import efficientnet_lite0
from torchcross.backbones.image_statistics import STATISTICS, image_statistics
from torchcross.backbones.mobilenet import mobilenet_v2
from torchcross.backbones.open_clip_models import from_open_clip
from torchcross.backbones.open_clip_text import TextTower
from torchcross.backbones.record import WeightRecord
from torchcross.backbones.resnet import resnet18, resnet34, resnet50, resnet50_keras
from torchcross.backbones.timm_models import from_timm
from torchcross.backbones.torchvision_models import from_torchvision
from torchcross.backbones.transformers_models import from_transformers
from torchcross.backbones.vectors import vectors
from torchcross.backbones.vit import small_vit
from torchcross.backbones.weights import load_weights
from torchcross.backbones.wrap import as_backbone

__all__ = [
    "STATISTICS",
    "Backbone",
    "BackboneSpec",
    "TextTower",
    "WeightRecord",
    "add_backbone",
    "as_backbone",
    "build",
    "conv4",
    "efficientnet_lite0",
    "from_address",
    "from_open_clip",
    "from_timm",
    "from_torchvision",
    "from_transformers",
    "image_statistics",
    "load_weights",
    "mobilenet_v2",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet50_keras",
    "small_vit",
    "text_tower",
    "vectors",
    "without_batch_norm",
]
