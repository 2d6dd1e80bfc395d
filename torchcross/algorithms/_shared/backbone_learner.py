"""What all algorithms share: a backbone in pure form, its images, its buffers, predictors."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from torchcross.algorithms._shared.per_step_norm import (
    NormWeights,
    PerStepAffine,
    PerStepStatistics,
)
from torchcross.algorithms._shared.predictor_files import PredictorRecord, backbone_spec
from torchcross.algorithms.predictor import Predictor
from torchcross.backbones.input_normalisation import InputNormalisation, MeanAndStd
from torchcross.backbones.layers import described_layers
from torchcross.errors import InputError
from torchcross.functional import Network
from torchcross.targets.succession import missing_classes
from torchcross.task import Task

Tree = dict[str, Tensor]


class BackboneLearner(nn.Module, ABC):
    """Abstract: learns a backbone, whose tensors it reads and never writes."""

    def __init__(
        self,
        backbone: nn.Module,
        *,
        norm: str,
        normalise: MeanAndStd | None,
        features: int | None,
        steps: int = 0,
        norm_weights: NormWeights = "shared",
    ) -> None:
        super().__init__()
        _check_is_network(backbone, type(self).__name__)
        self.backbone = backbone
        self.network = Network(backbone, norm=norm)
        self.input_normalisation = InputNormalisation.before(backbone, normalise)
        own_features = getattr(backbone, "num_features", None)
        self.features: int | None = own_features if features is None else features
        has_rows, has_affine = self.network.policy.rows, norm_weights == "per_step"
        self.rows = PerStepStatistics(self.network, steps=steps) if has_rows else None
        self.affine = PerStepAffine(self.network, steps=steps) if has_affine else None
        self._param_names = frozenset(self.network.state()[0])

    @property
    def has_training_mode(self) -> bool:
        """Whether layers act otherwise in training steps and the inner loop than in predictions."""
        return bool(self.network.training_layers)

    def _example_parameter(self) -> Tensor:
        """Return a tensor whose dtype and device images are moved to."""
        # Stored features have a backbone without parameters; its buffers say where it is.
        tensors = chain(self.parameters(), self.buffers())
        floating = (value for value in tensors if value.is_floating_point())
        return next(floating, torch.zeros(()))

    def _state(self) -> tuple[Tree, Tree]:
        """Return the parameters and buffers that a forward starts from."""
        params, buffers = self.network.state()
        if params.keys() != self._param_names:
            name = min(params.keys() ^ self._param_names)
            kind = "new" if name in params else "gone"
            raise InputError(
                f"the parameters of the backbone {type(self.backbone).__name__} are not those that"
                f" {type(self).__name__} was made for ({name!r} is {kind}); change the backbone"
                f" first, and then make a new {type(self).__name__} of it."
            )
        if self.affine is not None:
            params = {**params, **self.affine.values()}
        if self.rows is not None:
            buffers = {**buffers, **self.rows.values()}
        return params, buffers

    def _changed_buffers(self, buffers: Tree) -> Tree:
        """Return the buffers that have a new value, by the algorithm's own names."""
        before = self._state()[1]
        slots = {} if self.rows is None else self.rows.slots
        changed = {name: value for name, value in buffers.items() if value is not before[name]}
        return {
            f"rows.{slots[name]}" if name in slots else f"backbone.{name}": value.detach()
            for name, value in self.network.with_unit_vectors(changed).items()
        }

    def _make_predictor(
        self,
        task: Task,
        tensors: Mapping[str, Tree],
        *,
        form: str,
        step: int,
        protocol: dict[str, Any],
        image_shape: tuple[int, ...] | None,
        keep_graph: bool = False,
        members: int | None = None,
        counts: tuple[int, ...] | None = None,
    ) -> Predictor:
        if counts is not None:
            protocol = {**protocol, "missing_classes": list(missing_classes(task.target, counts))}
        record = PredictorRecord(
            task=task,
            protocol=protocol,
            form=form,
            step=step,
            norm=self.network.policy.name,
            fast=self.network.fast,
            pixels=self.input_normalisation,
            backbone=backbone_spec(self.backbone),
            image_shape=image_shape,
            layers=described_layers(self.backbone),
            members=members,
            counts=counts,
        )
        shared = [*self.parameters(), *self.buffers()]
        copies = {
            part: _own_copies(tree, shared, keep_graph=keep_graph) for part, tree in tensors.items()
        }
        return Predictor(self.network, record, copies)

    def common_protocol(self) -> dict[str, Any]:
        return {
            "norm": self.network.policy.name,
            "training_mode": sorted(set(self.network.training_layers.values())),
            "pixels": self.input_normalisation.describe(),
        }


def _own_copies(tree: Tree, shared: Sequence[Tensor], *, keep_graph: bool) -> Tree:
    """Return tensors that share no storage with those that training changes.

    With `keep_graph`, those that were computed with a graph keep it.
    """
    storages = {_address(value) for value in shared}
    detached = {
        name: value if keep_graph and value.grad_fn is not None else value.detach()
        for name, value in tree.items()
    }
    return {
        name: value.clone() if _address(value) in storages else value
        for name, value in detached.items()
    }


def _address(value: Tensor) -> int:
    return value.untyped_storage().data_ptr()


def _check_is_network(backbone: object, algorithm: str) -> None:
    if isinstance(backbone, nn.Module):
        return
    advice = "a torch.nn.Module, such as torchcross.backbones.conv4(64)"
    if isinstance(backbone, str):
        raise InputError(
            f"{algorithm} got the name {backbone!r} and needs the network itself: {advice};"
            " torchcross.backbones.build makes a network from a description"
        )
    raise InputError(f"{algorithm} got {type(backbone).__name__} as its backbone; give {advice}")
