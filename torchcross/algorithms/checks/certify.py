"""Is the gradient that an algorithm hands to the optimiser right?

The check runs in float64, on a copy of the module that will be trained.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from torchcross.algorithms._shared.episodic import Episodic
from torchcross.algorithms.base import Algorithm, Pretraining, Step, TaskBatch
from torchcross.algorithms.checks.certificate import Certificate
from torchcross.algorithms.checks.path_that_runs import (
    compare_precision,
    compare_reported_losses,
)
from torchcross.algorithms.checks.sample_episodes import make_sample_episodes
from torchcross.episode import Episode
from torchcross.errors import InputError
from torchcross.functional import (
    CertificateRow,
    Engine,
    Implicit,
    Meta,
    Problem,
    certify_engine,
    certify_problem,
    meta_gradient,
)
from torchcross.functional.certify import certify_gradient
from torchcross.functional.trees import widen

Tree = dict[str, Tensor]
# How far a training step may be from the mean of the episodes' gradients: rounding alone.
_ROUNDING = 1e-9
# How often a direction is drawn again where a kink hides the answer.
_TRIES = 4
_NO_LOOP = "plain gradient, exact; there is no inner loop to differentiate through"


@dataclass(frozen=True)
class _Comparison:
    """How a gradient is compared with finite differences."""

    directions: int
    tolerance: float
    epoch: int | None
    seed: int


def certify(
    algorithm: Algorithm | Pretraining,
    episodes: Sequence[Episode] | None = None,
    *,
    directions: int = 2,
    tolerance: float = 1e-6,
    epoch: int | None = None,
    seed: int = 0,
) -> Certificate:
    """Compare an algorithm's gradient with finite differences and a closed form.

    The training step is compared with both. Without `episodes`, one small made-up episode of each
    target type is used, or of a pre-training's own tasks. `directions` random directions are tried
    for each episode. Nothing of `algorithm` changes: the check runs on a copy in float64.
    """
    if not isinstance(algorithm, Algorithm | Pretraining):
        raise InputError(
            f"certify got {type(algorithm).__name__}; give an algorithm, such as MAML(backbone)."
        )
    if directions < 1:
        raise InputError(f"certify got directions={directions}; give 1 or more.")
    _refuse_complex(algorithm)
    twin = _double_copy(algorithm)
    samples = make_sample_episodes(twin) if episodes is None else list(episodes)
    if not samples:
        raise InputError(
            "certify got no episodes; give at least one, or leave episodes out for made-up ones."
        )
    if not any(value.requires_grad for value in twin.parameters()):
        claim = "nothing is trained: no parameter requires a gradient"
        return Certificate(type(algorithm).__name__, "none", None, claim, ())
    comparison = _Comparison(directions, tolerance, epoch, seed)
    try:
        if isinstance(twin, Episodic) and isinstance(algorithm, Episodic):
            certificate = _certify_problems(twin, samples, comparison)
            if not certificate.rows:
                return certificate
            rows = (*certificate.rows, *_compare_own_precision(algorithm, samples, comparison))
            return dataclasses.replace(certificate, rows=rows)
        return _certify_steps(twin, samples, comparison)
    except (RuntimeError, ValueError) as error:
        if episodes is not None and isinstance(algorithm, Episodic):
            raise
        if episodes is not None:
            raise InputError(
                f"certify runs {type(algorithm).__name__} in float64, where its training step"
                f" raised {type(error).__name__}: {error}. An algorithm of your own converts"
                " images to the type of its parameters:"
                " images.to(next(self.parameters()).dtype)."
            ) from error
        raise InputError(
            f"{error} This was on made-up episodes with images of shape"
            f" {tuple(samples[0].support.x.shape[1:])}; where they do not suit, pass episodes=[...]"
            " of your own."
        ) from error


def _refuse_complex(algorithm: Algorithm | Pretraining) -> None:
    """Raise for parameters of which no gradient would be compared."""
    for name, value in algorithm.named_parameters():
        if value.is_complex():
            raise InputError(
                f"the parameter {name!r} is complex ({value.dtype}), and certify compares gradients"
                " of real parameters; keep its real and imaginary parts as two parameters"
                " (torch.view_as_real)."
            )


def _double_copy(algorithm: Algorithm | Pretraining) -> Algorithm | Pretraining:
    try:
        twin = copy.deepcopy(algorithm).double()
        for layer in twin.modules():
            # Torch's `double` leaves complex buffers as they are.
            for name, buffer in layer.named_buffers(recurse=False):
                setattr(layer, name, widen(buffer))
        return twin
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            f"certify looks at a copy in float64, and this {type(algorithm).__name__} cannot be"
            f" copied ({error}); keep only modules, tensors and plain values in it."
        ) from error


# -- algorithms whose problems are known -----------------------------------------------------------


def _certify_problems(
    algorithm: Episodic, episodes: list[Episode], comparison: _Comparison
) -> Certificate:
    name, seed, epoch = type(algorithm).__name__, comparison.seed, comparison.epoch
    indices = _indices(episodes)
    problems, meta, engine = algorithm.problems(episodes, epoch=epoch, seed=seed, indices=indices)
    step = algorithm.training_step(episodes, epoch=epoch, seed=seed, indices=indices)
    if step.engine != engine.name:
        claim = "no meta-gradient is claimed: its training step is a rule of its own"
        return Certificate(name, repr(step.engine), None, claim, ())
    has_loop = any(problem.inner.steps for problem in problems)
    rows = list(certify_engine(engine)) if has_loop else []
    for episode, problem in zip(episodes, problems, strict=True):
        label = episode.task.name if episode.plan is None else problem.name
        rows += _compare_problem(problem, label, meta, engine, comparison)
    rows.append(_compare_step(step, problems, meta, engine))
    rows += compare_reported_losses(step, problems, meta, engine)
    is_exact = engine.order == 2 and not isinstance(engine, Implicit)
    claim = _claim(engine) if has_loop else _NO_LOOP
    return Certificate(name, repr(engine.name), engine.order, claim, tuple(rows), is_exact)


def _compare_own_precision(
    algorithm: Episodic, episodes: list[Episode], comparison: _Comparison
) -> list[CertificateRow]:
    """Compare the gradient of a copy in the algorithm's own precision with that in float64."""
    twin = copy.deepcopy(algorithm)
    problems, meta, engine = twin.problems(
        episodes, epoch=comparison.epoch, seed=comparison.seed, indices=_indices(episodes)
    )
    rows = []
    for episode, problem in zip(episodes, problems, strict=True):
        label = episode.task.name if episode.plan is None else problem.name
        rows += compare_precision(problem, label, meta, engine)
    return rows


def _claim(engine: Engine) -> str:
    if isinstance(engine, Implicit):
        return (
            "implicit meta-gradient: exact where the inner problem is solved, so differences are"
            " not claimed"
        )
    if engine.order == 1:
        return (
            "first-order meta-gradient: second derivatives are left out, so differences are not"
            " claimed"
        )
    return "exact second-order meta-gradient"


def _compare_problem(
    problem: Problem, label: str, meta: Meta, engine: Engine, comparison: _Comparison
) -> list[CertificateRow]:
    def compare(seed: int) -> list[CertificateRow]:
        tolerance = comparison.tolerance
        rows = certify_problem(
            problem, meta, engine=engine, directions=1, seed=seed, tolerance=tolerance
        )
        return [dataclasses.replace(row, name=f"{label}: {row.name}") for row in rows]

    return sorted(_rows_of_directions(compare, comparison), key=lambda row: row.name)


def _compare_step(
    step: Step, problems: list[Problem], meta: Meta, engine: Engine
) -> CertificateRow:
    """Compare the training step's gradient with the mean of the episodes' own gradients."""
    rates = meta.rates if isinstance(meta.rates, dict) else {"*": meta.rates}
    means: dict[int, Tensor] = {}
    learned: dict[int, Tensor] = {}
    for problem in problems:
        result = meta_gradient(problem, meta, engine=engine)
        tensors = [(meta.params, result.params), (rates, result.rates), (problem.own, result.own)]
        for values, grads in tensors:
            for name, grad in grads.items():
                value = values[name]
                if isinstance(value, Tensor) and value.requires_grad:
                    learned[id(value)] = value
                    before = means.get(id(value), torch.zeros_like(grad))
                    means[id(value)] = before + grad / len(problems)
    grads_of_step = torch.autograd.grad(step.loss, list(learned.values()), allow_unused=True)
    error = _relative_error(grads_of_step, list(means.values()))
    name, holds = "training step: mean of the episodes", error <= _ROUNDING
    return CertificateRow(name, engine.name, engine.order, error, _ROUNDING, holds)


# -- algorithms of which only the training step is known -------------------------------------------


def _certify_steps(
    algorithm: Algorithm | Pretraining, episodes: list[Episode], comparison: _Comparison
) -> Certificate:
    is_pretraining = isinstance(algorithm, Pretraining)
    params = {name: value for name, value in algorithm.named_parameters() if value.requires_grad}
    rows = []
    for position, episode in enumerate(episodes):
        take_step = _step_on(algorithm, episode, position, comparison)
        step = take_step()
        is_exact = is_pretraining or step.order == 2
        grads = torch.autograd.grad(step.loss, list(params.values()), allow_unused=True)
        # Parameters that this step does not use, the heads of other tasks, are left out.
        used = {name: grad for name, grad in zip(params, grads, strict=True) if grad is not None}
        name = f"{episode.task.name}: step, finite differences"
        form = CertificateRow(name, step.engine, step.order, 0.0, comparison.tolerance, None)
        rows += _compare_steps(take_step, params, used, form, is_exact, comparison)
    if is_pretraining:
        claim = "plain gradient of a supervised loss, exact; nothing is adapted"
    elif is_exact:
        claim = "exact gradient of its training step"
    else:
        claim = "first order, so differences are not claimed"
    name = type(algorithm).__name__
    return Certificate(name, repr(step.engine), step.order, claim, tuple(rows), is_exact)


def _step_on(
    algorithm: Algorithm | Pretraining, episode: Episode, position: int, comparison: _Comparison
) -> Callable[[], Step]:
    """Return a function that takes the training step on one episode, or on its support."""
    seed = comparison.seed

    def take_step() -> Step:
        if isinstance(algorithm, Pretraining):
            batch = TaskBatch(episode.support, episode.task)
            return algorithm.training_step([batch], seed=seed, indices=[position])
        indices = _indices([episode])
        return algorithm.training_step(
            [episode], epoch=comparison.epoch, seed=seed, indices=indices
        )

    return take_step


def _compare_steps(
    take_step: Callable[[], Step],
    params: Mapping[str, Tensor],
    grads: Tree,
    form: CertificateRow,
    is_exact: bool,
    comparison: _Comparison,
) -> list[CertificateRow]:
    start = {name: params[name].detach().clone() for name in grads}

    @torch.no_grad()
    def loss_at(values: Tree) -> float:
        for name, value in values.items():
            params[name].copy_(value)
        loss = float(take_step().loss)
        for name, value in start.items():
            params[name].copy_(value)
        return loss

    def compare(seed: int) -> list[CertificateRow]:
        generator = torch.Generator().manual_seed(seed)
        return certify_gradient(
            loss_at, start, grads, form, exact=is_exact, directions=1, generator=generator
        )

    return _rows_of_directions(compare, comparison)


# -- what both have in common ----------------------------------------------------------------------


def _rows_of_directions(
    compare: Callable[[int], list[CertificateRow]], comparison: _Comparison
) -> list[CertificateRow]:
    """Return the rows of `compare(seed)` for each direction.

    A direction in which a kink hides the answer is drawn again, a few times.
    """
    rows = []
    for direction in range(comparison.directions):
        for attempt in range(_TRIES):
            seed = comparison.seed + comparison.directions * attempt + direction
            drawn = compare(seed)
            if not any(map(_is_hidden, drawn)):
                break
        rows += [_with_direction(row, direction) for row in drawn]
    return rows


def _with_direction(row: CertificateRow, direction: int) -> CertificateRow:
    """Return the row with its direction's number, and without a verdict that a kink hides."""
    row = dataclasses.replace(row, name=f"{row.name[:-2]} {direction + 1}")
    if row.holds is None:
        # A kink does not matter where nothing is claimed.
        return dataclasses.replace(row, note="")
    return dataclasses.replace(row, holds=None) if _is_hidden(row) else row


def _is_hidden(row: CertificateRow) -> bool:
    return bool(row.note) and row.holds is False


def _indices(episodes: list[Episode]) -> list[int] | None:
    """Return numbers for random heads and dropout, where an episode has no plan that gives one."""
    if all(episode.plan is not None for episode in episodes):
        return None
    return [
        at if episode.plan is None else episode.plan.index for at, episode in enumerate(episodes)
    ]


def _relative_error(actual: Sequence[Tensor | None], expected: Sequence[Tensor]) -> float:
    difference, length = torch.zeros(2, dtype=torch.float64)
    for left, right in zip(actual, expected, strict=True):
        apart = right if left is None else left - right
        difference = difference + apart.square().sum()
        length = length + right.square().sum()
    return float(difference.sqrt() / length.sqrt().clamp_min(1e-300))
