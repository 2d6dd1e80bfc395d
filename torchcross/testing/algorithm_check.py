"""`check_algorithm`: what training, evaluation and runs rely on, for any algorithm."""

from __future__ import annotations

import copy
import json
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from torchcross.data import Episodes, EpisodeSampler, toys
from torchcross.episode import Batch, Episode
from torchcross.errors import InputError
from torchcross.testing.predictions import answer_of, same_answers, wrong_answers
from torchcross.testing.surroundings import foreign_generators, generators_left_alone

_TOLERANCE = 1e-4


def toy_episodes(channels: int = 1, size: int = 28) -> list[Episode]:
    """An episode of each type of target, and a second binary one, of `torchcross.data.toys`."""
    episodes = []
    counts = {toys.binary: 2, toys.multiclass: 1, toys.multilabel: 1, toys.ordinal: 1}
    for make, count in counts.items():
        sampler = EpisodeSampler(make(120, size=size), shots=2, queries=2, seed=0)
        for episode in (Episodes(sampler)[number] for number in range(count)):
            # A grey image of three equal channels is a colour image.
            colour = [
                side.map(lambda images: images.expand(-1, channels, -1, -1).clone())
                for side in (episode.support, episode.query)
            ]
            episodes.append(replace(episode, support=colour[0], query=colour[1]))
    return episodes


def check_algorithm(
    algorithm: Any,
    episodes: Sequence[Episode] | None = None,
    *,
    trains: bool = True,
    image: tuple[int, int] = (1, 28),
) -> None:
    """Raise AssertionError, naming the contract, unless an algorithm keeps all of these:

    - `adapt` and `training_step` change no parameter, buffer, gradient or mode of the algorithm,
      and no tensor of an episode; they neither move nor read the global generators;
    - adapting twice gives the same predictor, whatever was adapted between, with and without
      gradients, and so does a copy of the algorithm;
    - a predictor gives each query image a probability for every class, and a decision, or logits
      of the target's loss; it does not change when the algorithm is trained further;
    - a predictor that can be saved predicts the same when it is loaded, or refuses to be saved;
    - a training step gives a finite loss with a gradient, one loss for each episode, the same one
      again, and new values for buffers that there are; unless the algorithm says that it is
      sequential, losses do not depend on the order of the episodes;
    - `protocol()` is plain values.

    The episodes are those that you give, or small ones of every type of target, whose images have
    `image` = (channels, side). Give `trains=False` for an algorithm that only adapts.
    """
    chosen = toy_episodes(*image) if episodes is None else list(episodes)
    if len(chosen) < 2:
        raise InputError(f"check_algorithm got {len(chosen)} episodes; give at least two")
    name = type(algorithm).__name__
    for sentence in _broken_contracts(algorithm, chosen, trains=trains):
        raise AssertionError(f"algorithm {name}: {sentence}")


def _broken_contracts(
    algorithm: Any, episodes: Sequence[Episode], *, trains: bool
) -> Iterator[str]:
    yield from _interface(algorithm, trains=trains)
    yield from _plain_protocol(algorithm)
    for other, episode in pairwise(episodes):
        yield from _adaptation(algorithm, episode, other)
    yield from _copies(algorithm, episodes[0])
    yield from _reloaded_predictor(algorithm, episodes[0])
    if trains:
        yield from _training(algorithm, episodes)


# -- what there must be ----------------------------------------------------------------------------


def _interface(algorithm: Any, *, trains: bool) -> Iterator[str]:
    if not isinstance(algorithm, nn.Module):
        yield "it is no torch.nn.Module, so no optimiser or device knows its parameters"
        return
    if not isinstance(getattr(algorithm, "backbone", None), nn.Module):
        yield "it has no `backbone`, a module that makes features of images"
    for method in ("adapt", "protocol", *(("training_step",) if trains else ())):
        if not callable(getattr(algorithm, method, None)):
            yield f"it has no method `{method}`; see torchcross.algorithms.Algorithm"


def _plain_protocol(algorithm: Any) -> Iterator[str]:
    protocol = algorithm.protocol()
    try:
        json.dumps(protocol)
    except (TypeError, ValueError) as error:
        yield f"protocol() is no plain JSON ({error}); give numbers, texts, lists and dicts"
        return
    if not isinstance(protocol, Mapping):
        yield f"protocol() is a {type(protocol).__name__}; give a dict"


# -- what must stay as it is -----------------------------------------------------------------------


@dataclass(frozen=True)
class _State:
    """Everything of an algorithm and of episodes that a pure function leaves alone."""

    tensors: Mapping[str, Tensor]
    gradients: Mapping[str, Tensor | None]
    modes: Mapping[str, bool]

    @classmethod
    def of(cls, algorithm: nn.Module, episodes: Sequence[Episode]) -> _State:
        named: dict[str, Tensor] = {}
        named |= {f"parameter {name}": value for name, value in algorithm.named_parameters()}
        named |= {f"buffer {name}": value for name, value in algorithm.named_buffers()}
        for number, episode in enumerate(episodes):
            for side in ("support", "query"):
                batch: Batch = getattr(episode, side)
                named[f"images of the {side} of episode {number}"] = batch.x
                named[f"labels of the {side} of episode {number}"] = batch.y
        return cls(
            {name: value.detach().clone() for name, value in named.items()},
            {name: _copy_of(value.grad) for name, value in algorithm.named_parameters()},
            {name: module.training for name, module in algorithm.named_modules()},
        )

    def changes(self, now: _State) -> Iterator[str]:
        for name, value in self.tensors.items():
            if name not in now.tensors or not _same_bits(value, now.tensors[name]):
                yield f"the {name}"
        for name, gradient in self.gradients.items():
            later = now.gradients.get(name)
            if gradient is None or later is None:
                is_same = gradient is later
            else:
                is_same = _same_bits(gradient, later)
            if not is_same:
                yield f"the gradient of {name}"
        for name, mode in self.modes.items():
            if now.modes.get(name) != mode:
                yield f"the mode (train or eval) of the layer {name or 'algorithm itself'}"


def _copy_of(gradient: Tensor | None) -> Tensor | None:
    return None if gradient is None else gradient.clone()


def _same_bits(left: Tensor, right: Tensor) -> bool:
    if left.shape != right.shape:
        return False
    return bool(((left == right) | (left.isnan() & right.isnan())).all())


def _purely(
    activity: str, algorithm: nn.Module, episodes: Sequence[Episode], call: Callable[[], Any]
) -> tuple[Any, list[str]]:
    """What a call returns, and sentences on what it changed."""
    before = _State.of(algorithm, episodes)
    with generators_left_alone(activity):
        result = call()
    changed = list(before.changes(_State.of(algorithm, episodes)))
    advice = "; work on copies, and return new values"
    return result, [f"{activity} changed {name}{advice}" for name in changed]


# -- adaptation ------------------------------------------------------------------------------------


def _adaptation(algorithm: Any, episode: Episode, other: Episode) -> Iterator[str]:
    kind = type(episode.task.target).__name__
    where = f"adapt to {kind}"

    def adapt(to: Episode) -> Any:
        return algorithm.adapt(to.support, to.task, index=3)

    predictor, changes = _purely(where, algorithm, [episode], lambda: adapt(episode))
    yield from changes
    if not callable(predictor):
        yield f"adapt gave {type(predictor).__name__}; give a function of images"
        return
    first, changes = _purely(
        f"a predictor of {kind}",
        algorithm,
        [episode],
        lambda: answer_of(predictor, episode),
    )
    yield from changes
    yield from (f"{where}: {sentence}" for sentence in wrong_answers(first, episode))
    adapt(other)
    again = {
        "adapted a second time, after another episode": answer_of(adapt(episode), episode),
        "asked a second time": answer_of(predictor, episode),
    }
    with torch.no_grad():
        again["adapted under torch.no_grad()"] = answer_of(adapt(episode), episode)
    with foreign_generators():
        foreign = "adapted under other states of the global random generators"
        again[foreign] = answer_of(adapt(episode), episode)
    for reading, answers in again.items():
        if not same_answers(first, answers):
            yield (
                f"{where}: {reading}, the predictor gives other numbers; adaptation is a function"
                " of the support set, the seed and the index alone"
            )


def _copies(algorithm: Any, episode: Episode) -> Iterator[str]:
    """A copy adapts as the algorithm does, and its predictor outlives its training."""
    own = copy.deepcopy(algorithm)
    predictor = own.adapt(episode.support, episode.task)
    before = answer_of(predictor, episode)
    if not same_answers(before, answer_of(algorithm.adapt(episode.support, episode.task), episode)):
        yield "adapted by a copy of the algorithm, the predictor gives other numbers"
    with torch.no_grad():
        for value in own.parameters():
            value.add_(0.5)
    if not same_answers(before, answer_of(predictor, episode)):
        yield (
            "a predictor changes when the algorithm is trained further: it shares tensors with it;"
            " give it copies"
        )


def _reloaded_predictor(algorithm: Any, episode: Episode) -> Iterator[str]:
    predictor = algorithm.adapt(episode.support, episode.task)
    if not hasattr(predictor, "save"):
        return
    from torchcross.algorithms import load_predictor

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "predictor.safetensors")
        try:
            predictor.save(path)
        except InputError:
            # Refused, with the reason, is as good as loaded.
            return
        described = getattr(algorithm.backbone, "spec", None) is not None
        own = None if described else copy.deepcopy(algorithm.backbone)
        loaded = load_predictor(path, own)
    if not same_answers(answer_of(predictor, episode), answer_of(loaded, episode)):
        yield "a predictor that is saved and loaded gives other numbers"


# -- training --------------------------------------------------------------------------------------


def _training(algorithm: Any, episodes: Sequence[Episode]) -> Iterator[str]:
    indices = range(len(episodes))

    def step(order: Sequence[int] = indices) -> Any:
        return algorithm.training_step([episodes[place] for place in order], indices=order)

    result, changes = _purely("training_step", algorithm, episodes, step)
    yield from changes
    yield from _step(algorithm, result, len(episodes))
    with foreign_generators():
        again = step()
    if not _same_bits(result.losses, again.losses):
        yield (
            "training_step gives other losses a second time; draw from generators of (seed, index)"
        )
    if not getattr(algorithm, "is_sequential", False):
        backwards = step(list(reversed(indices))).losses.flip(0)
        if not torch.allclose(backwards, result.losses, rtol=_TOLERANCE, atol=_TOLERANCE):
            yield (
                "training_step gives other losses where the episodes come in another order; say"
                " so with `is_sequential`, or let no episode depend on another"
            )
    yield from _gradients(algorithm, result.loss)


def _step(algorithm: nn.Module, result: Any, count: int) -> Iterator[str]:
    for name in ("loss", "losses", "buffers"):
        if not hasattr(result, name):
            yield f"training_step gave {type(result).__name__} without `{name}`; give a Step"
            return
    if result.loss.ndim or not bool(torch.isfinite(result.loss)):
        yield f"training_step gave the loss {result.loss.detach()}; give a finite scalar"
    if tuple(result.losses.shape) != (count,):
        yield (
            f"training_step gave losses of shape {tuple(result.losses.shape)} for {count} episodes;"
            " give one for each"
        )
    if result.losses.requires_grad:
        yield "training_step gave `losses` with their graph, which keeps memory; detach them"
    if unknown := set(result.buffers) - set(dict(algorithm.named_buffers())):
        yield f"training_step gave new values for {sorted(unknown)}, and there are no such buffers"


def _gradients(algorithm: nn.Module, loss: Tensor) -> Iterator[str]:
    learned = [value for value in algorithm.parameters() if value.requires_grad]
    if not learned:
        return
    if not loss.requires_grad:
        yield "the loss of training_step has no gradient, so nothing can be learned"
        return
    gradients = torch.autograd.grad(loss, learned, allow_unused=True)
    known = [gradient for gradient in gradients if gradient is not None]
    if not known or not any(bool(gradient.any()) for gradient in known):
        yield "the loss of training_step moves no parameter: every gradient is zero"
    if not all(bool(torch.isfinite(gradient).all()) for gradient in known):
        yield "the loss of training_step has gradients that are not finite"
