"""What adaptation returns: images -> probabilities, decisions and class names."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, TypeAlias, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from torchcross._kit.argument_checks import check_choice
from torchcross.algorithms._shared import predictor_checks, predictor_files
from torchcross.algorithms._shared.members import MemberBackbones, are_one, member_of
from torchcross.algorithms._shared.plain_module import Output, PlainPredictor
from torchcross.algorithms._shared.predictor_backbones import backbone_for
from torchcross.algorithms._shared.predictor_files import PredictorRecord
from torchcross.algorithms._shared.tracing import refuse_tracing
from torchcross.algorithms.named_prediction import NamedPrediction
from torchcross.backbones.input_normalisation import check_finite, explain_refused_images
from torchcross.errors import InputError
from torchcross.functional import Network
from torchcross.functional.network.norm_policies import NormPolicy
from torchcross.functional.network.plain_copy import depends_on_batch, plain_copy
from torchcross.heads import head_logits
from torchcross.targets import Target
from torchcross.targets.succession import missing_classes

Images: TypeAlias = Tensor | NDArray[Any]
"""(N, C, H, W), or what else the backbone takes."""

_OF_BACKBONE = ("params", "buffers", "statistics")
_OF_MODULES = (
    *("children", "eval", "load_state_dict", "modules", "named_children", "named_modules"),
    *("named_parameters", "parameters", "requires_grad_", "state_dict", "train", "training"),
)


@final
class Predictor:
    """A pure function of images, made by `adapt` or `load_predictor`.

    It owns its tensors: further training or another adaptation does not change it. Under the
    BatchNorm policy `batch`, the prediction of an image depends on the images beside it
    (transductive). Images with NaN or infinite pixels are refused; `check_pixels=False` lets them
    pass, which saves one sum over the pixels, and on a GPU one wait for it.

    It is no `nn.Module`: torch compiles, traces and exports what `to_module` returns.

    >>> from torchcross import backbones
    >>> from torchcross.algorithms import ProtoNet
    >>> from torchcross.data import toys
    >>> episode = tx.Episodes(tx.EpisodeSampler(toys.binary(100, size=16), shots=5, queries=3))[0]
    >>> protonet = ProtoNet(backbones.conv4(8, in_channels=1))
    >>> predictor = protonet.adapt(episode.support, episode.task)
    >>> prediction = predictor(episode.query.x)
    >>> prediction.probabilities.shape, predictor.task.classes == episode.task.classes
    (torch.Size([6, 2]), True)
    """

    # torch.jit.trace asks a callable for its name before it calls it.
    __name__ = "Predictor"

    def __init__(
        self, network: Network, record: PredictorRecord, tensors: Mapping[str, dict[str, Tensor]]
    ) -> None:
        self.task = record.task
        self.protocol = record.protocol
        # As it is now: a predictor does not change with the backbone that it was made of.
        self._network = network.snapshot()
        self._record = record
        self._tensors = {part: dict(tensors[part]) for part in predictor_files.PARTS}

    @property
    def target(self) -> Target:
        return self.task.target

    @property
    def classes(self) -> tuple[str, ...]:
        return self.task.classes

    @property
    def missing_classes(self) -> tuple[str, ...]:
        """Classes of which the support set had no sample, and which have one probability always.

        Of labels: those that it had not both with and without. See `torchcross.targets.succession`.
        """
        counts = self._record.counts
        return () if counts is None else missing_classes(self.target, counts)

    @property
    def image_shape(self) -> tuple[int, ...] | None:
        """The shape of the images that it was adapted to; None where that is not known."""
        return self._record.image_shape

    @property
    def tensors(self) -> Mapping[str, Mapping[str, Tensor]]:
        """Its tensors by name, in the parts `params`, `buffers`, `statistics` and `head`."""
        return self._tensors

    def __getattr__(self, name: str) -> NoReturn:
        advice = ""
        if name in _OF_MODULES:
            advice = "; it is no torch.nn.Module, and predictor.to_module() gives one"
        raise AttributeError(f"'Predictor' object has no attribute {name!r}{advice}")

    def features(self, images: Images, *, check_pixels: bool = True) -> Tensor:
        """(N, D) features of the adapted backbone; differentiable if the images require it.

        An ensemble has those of its members side by side.
        """
        refuse_tracing()
        images = _as_tensor(images)
        name = f"the predictor of {self.task.name!r}"
        ready = self._ready(images)
        if check_pixels:
            check_finite(ready, f"{name}: the batch of images")
        with explain_refused_images(self._network.module, ready, name), self._recording(images):
            members = self._record.members
            if members is None:
                return self._features_of(self._tensors, ready)
            trees = [self._member(number) for number in range(members)]
            if all(are_one(self._tensors[part]) for part in _OF_BACKBONE):
                return self._features_of(trees[0], ready).repeat(1, members)
            return torch.cat([self._features_of(tree, ready) for tree in trees], dim=-1)

    def _features_of(self, tensors: Mapping[str, dict[str, Tensor]], ready: Tensor) -> Tensor:
        features, _ = self._network.query(
            tensors["params"],
            tensors["buffers"],
            ready,
            statistics=tensors["statistics"],
            step=self._record.step,
        )
        result: Tensor = features
        return result

    def _member(self, number: int) -> dict[str, dict[str, Tensor]]:
        """Return the tensors of one member of an ensemble, without its head."""
        return {part: member_of(self._tensors[part], number) for part in _OF_BACKBONE}

    def _recording(self, images: Tensor) -> torch.set_grad_enabled:
        """Record gradients where the images, or those of the support set, require them."""
        wants = images.requires_grad or any(
            value.requires_grad for tree in self._tensors.values() for value in tree.values()
        )
        return torch.set_grad_enabled(wants and torch.is_grad_enabled())

    def _ready(self, images: Images) -> Tensor:
        """Return the images as the backbone gets them."""
        images = _as_tensor(images)
        if not len(images):
            raise InputError("the predictor got no images; give at least one.")
        like = next(iter((self._tensors["params"] or self._tensors["head"]).values()))
        return self._record.pixels(images, "the batch of images", like)

    def logits(self, images: Images, *, check_pixels: bool = True) -> Tensor:
        """(N, outputs) logits of the target's loss; differentiable if the images require it."""
        images = _as_tensor(images)
        features = self.features(images, check_pixels=check_pixels)
        head, form = self._tensors["head"], self._record.form
        width = predictor_checks.head_width(form, head, self._record.members)
        if width is not None and features.shape[1] != width:
            raise InputError(
                f"the backbone makes {features.shape[1]} features and the head takes {width}; give"
                " images of the size it was adapted to, or load the predictor with its own"
                " backbone."
            )
        with self._recording(images):
            return head_logits(form, self.target, features, head, self._record.counts)

    def __call__(self, images: Images, *, check_pixels: bool = True) -> NamedPrediction:
        refuse_tracing()
        images = _as_tensor(images)
        with self._recording(images):
            logits = self.logits(images, check_pixels=check_pixels)
            prediction = self.target.predict(logits)
        return NamedPrediction(
            prediction.probabilities, prediction.decisions, self.classes, prediction.scores
        )

    def to(self, device: torch.device | str) -> Predictor:
        """The same predictor on another device."""
        moved = copy.copy(self)
        moved._tensors = {
            part: {name: value.to(device) for name, value in tree.items()}
            for part, tree in self._tensors.items()
        }
        return moved

    @torch.no_grad()
    def to_module(
        self,
        output: Output = "probabilities",
        *,
        support: Images | None = None,
        transductive: bool = False,
    ) -> PlainPredictor:
        """A plain `nn.Module` that predicts the same, for torch.compile, torch.export and ONNX.

        It holds copies of the tensors, normalises images itself, is in evaluation mode, and returns
        `"probabilities"` or `"logits"`. A predictor with the BatchNorm policy `batch` needs a
        choice: with the `support` images it was adapted to, the module's statistics are fixed to
        theirs, as policy `support` has them; with `transductive=True` they are those of each batch.
        """
        check_choice("output", output, ("probabilities", "logits"))
        network, record = self._network, self._record
        network.refuse_changed_module()
        policy, ready = network.policy, None
        if not depends_on_batch(network.module, policy):
            if support is not None or transductive:
                raise InputError(
                    f"what the predictor of {self.task.name!r} says of an image does not depend on"
                    f" the images beside it ({_reason(policy)}), so that support= and"
                    " transductive= mean nothing; leave them out."
                )
        elif (support is None) != transductive:
            raise InputError(
                f"the predictor of {self.task.name!r} takes BatchNorm's statistics from the images"
                f" that it predicts (policy {policy.name!r}: transductive), so that a prediction"
                " depends on the images beside it. Choose one: to_module(support=...) fixes the"
                " statistics to those of the support images, as norm='support' does when you adapt;"
                " to_module(transductive=True) takes them from each batch. (torchcross export has"
                " --support and --transductive.)"
            )
        elif support is not None:
            ready = self._ready(support)
            check_finite(ready, "the support images")
        if record.members is None:
            backbone = self._plain_backbone(self._tensors, ready)
        else:
            trees = [self._member(number) for number in range(record.members)]
            backbone = MemberBackbones([self._plain_backbone(tree, ready) for tree in trees])
        return PlainPredictor(
            backbone,
            self._tensors["head"],
            task=self.task,
            form=record.form,
            pixels=record.pixels,
            output=output,
            counts=record.counts,
        )

    def _plain_backbone(
        self, tensors: Mapping[str, dict[str, Tensor]], support: Tensor | None
    ) -> nn.Module:
        """Return the backbone with these tensors; `support` fixes its statistics."""
        network, step = self._network, self._record.step
        policy, statistics = network.policy, tensors["statistics"]
        params, buffers = tensors["params"], tensors["buffers"]
        if support is not None:
            fixed = Network(network.module, norm="support", fast=network.fast)
            policy = fixed.policy
            statistics, _ = fixed.statistics(params, buffers, support, step=step)
        return plain_copy(network.module, policy, params, buffers, statistics, step=step)

    def save(self, path: str | Path) -> None:
        """Write everything to one safetensors file, whole or not at all.

        `load_predictor` reads a predictor that predicts the same bits.
        """
        predictor_files.write(Path(path), self._record, self._tensors)

    def __repr__(self) -> str:
        algorithm = self.protocol.get("algorithm", "?")
        return (
            f"Predictor({self.task.name!r}, classes={list(self.classes)}, algorithm={algorithm!r})"
        )


def _as_tensor(images: Tensor | NDArray[Any]) -> Tensor:
    """Return the images as a tensor: an array shares its memory with it where it can."""
    if isinstance(images, np.ndarray) and images.dtype.kind in "buif":
        # Arrays with negative strides or foreign byte order have no tensor.
        native = np.ascontiguousarray(images.astype(images.dtype.newbyteorder("="), copy=False))
        # A tensor can be written into, and torch warns of arrays that cannot.
        writeable = native if native.flags.writeable else native.copy()
        try:
            return torch.from_numpy(writeable)
        except TypeError as error:
            raise InputError(
                f"a predictor got an array of {images.dtype}, of which torch has no tensors; give"
                " images.astype('float32')."
            ) from error
    if not isinstance(images, Tensor):
        raise InputError(
            f"a predictor got {type(images).__name__} as images; give a tensor or an array"
            " (N, C, H, W)."
        )
    return images


def _reason(policy: NormPolicy) -> str:
    """Why predictions do not depend on the batch."""
    if policy.query == "own":
        return "no layer of its network normalises over the batch"
    return f"BatchNorm policy {policy.name!r} fixes the statistics"


def load_predictor(
    path: str | Path, backbone: nn.Module | None = None, *, same_layers: bool = True
) -> Predictor:
    """Read a saved predictor.

    If the file does not name a backbone of the library, give a module like the one it was made
    with. Only its shape matters, not its weights. If its layers are not those that the file
    describes, it is refused; `same_layers=False` takes it if the names and shapes of its tensors
    fit.
    """
    path = Path(path)
    record, tensors = predictor_files.read(path)
    predictor_checks.check_members(path, record, tensors)
    predictor_checks.check_head(path, record, tensors)
    module = backbone_for(path, record, tensors, backbone, same_layers=same_layers)
    return Predictor(Network(module, norm=record.norm, fast=record.fast), record, tensors)
