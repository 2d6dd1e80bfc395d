"""Is the gradient that an algorithm hands to the optimiser right? In float64, on the module it will
train.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor

from torchcross.algorithms._shared.episodic import Episodic
from torchcross.algorithms.base import Algorithm, Pretraining, Step, TaskBatch
from torchcross.algorithms.checks.sample_episodes import built_in_episodes
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

__all__ = ["Certificate", "certify"]

Tree = dict[str, Tensor]
_SAME = 1e-9
_TRIES = 4


@final
@dataclass(frozen=True)
class Certificate:
    """What was compared, as a table: `print(certificate)`. `holds` says whether everything that is
    claimed is so.

    claim   which gradient this is, and of what order
    rows    the comparisons; `row.holds` is None where nothing is claimed, or where a kink hides the
            answer
    """

    algorithm: str
    engine: str
    order: int | None
    claim: str
    rows: tuple[CertificateRow, ...]
    differences_count: bool = False

    @property
    def holds(self) -> bool:
        """No row is wrong and, where differences are to agree, kinks have left one of each kind
        that tells.
        """
        return not any(row.holds is False for row in self.rows) and not self.undecided

    @property
    def undecided(self) -> bool:
        """Whether differences are to agree and none of a kind (parameters, rates) could tell."""
        return bool(self._hidden_kinds())

    def _hidden_kinds(self) -> list[str]:
        kinds: dict[str, bool] = {}
        for row in self.rows if self.differences_count else ():
            if _by_differences(row):
                kinds[_kind(row)] = kinds.get(_kind(row), False) or row.holds is not None
        return [kind for kind, told in kinds.items() if not told]

    def __str__(self) -> str:
        lines = [f"{self.algorithm}, engine {self.engine}: {self.claim}"]
        if self.rows:
            width = max(len(row.name) for row in self.rows)
            lines.append(f"  {'check':<{width}}  order  rel. error  tolerance  verdict")
            lines += [
                f"  {row.name:<{width}}  {row.order:>5}  {row.error:>10.1e}  {row.tolerance:>9.0e} "
                f" {_verdict(row)}"
                for row in self.rows
            ]
        return "\n".join([*lines, f"verdict: {self._summary()}"])

    def _summary(self) -> str:
        if self.undecided:
            kinds = " and ".join(self._hidden_kinds())
            return (
                f"undecided: there are kinks wherever differences were taken of {kinds}; certify a"
                " smaller or smoother backbone"
            )
        if not self.holds:
            wrong = sum(row.holds is False for row in self.rows)
            return f"does not hold, {wrong} of {len(self.rows)} checks failed"
        return "holds" if self.rows else "nothing is claimed, so there is nothing to check"


def certify(
    algorithm: Algorithm | Pretraining,
    episodes: Sequence[Episode] | None = None,
    *,
    directions: int = 2,
    tolerance: float = 1e-6,
    epoch: int | None = None,
    seed: int = 0,
) -> Certificate:
    """Hold an algorithm's gradient against a closed form, against differences, and its training
    step against both.

    Where no episodes are given, one small made-up episode of each target type is taken (a
    pre-training's own tasks). `directions` random ones are tried for each episode. Nothing of
    `algorithm` changes: a copy in float64 is looked at.
    """
    if not isinstance(algorithm, Algorithm | Pretraining):
        raise InputError(
            f"certify got {type(algorithm).__name__}; give an algorithm, such as MAML(backbone)."
        )
    if directions < 1:
        raise InputError(f"certify got directions={directions}; give 1 or more.")
    twin = _double(algorithm)
    given = list(episodes) if episodes is not None else built_in_episodes(twin)
    if not given:
        raise InputError(
            "certify got no episodes; give at least one, or leave episodes out for made-up ones."
        )
    options: dict[str, Any] = {"directions": directions, "tolerance": tolerance, "seed": seed}
    if not any(value.requires_grad for value in twin.parameters()):
        claim = "nothing is trained: no parameter requires a gradient"
        return Certificate(type(algorithm).__name__, "none", None, claim, ())
    try:
        if isinstance(twin, Episodic):
            return _of_episodes(twin, given, epoch, options)
        return _of_steps(twin, given, epoch, options)
    except (RuntimeError, ValueError) as error:
        if episodes is not None:
            raise
        raise InputError(
            f"{error} This was on made-up episodes with images of shape"
            f" {tuple(given[0].support.x.shape[1:])}; where they do not suit, pass episodes=[...]"
            " of your own."
        ) from error


def _double(algorithm: Algorithm | Pretraining) -> Algorithm | Pretraining:
    try:
        return copy.deepcopy(algorithm).double()
    except (RuntimeError, TypeError, AttributeError) as error:
        raise InputError(
            f"certify looks at a copy in float64, and this {type(algorithm).__name__} cannot be"
            f" copied ({error}); keep only modules, tensors and plain values in it."
        ) from error


# -- algorithms that say what their problems are ---------------------------------------------------


def _of_episodes(
    algorithm: Episodic, episodes: list[Episode], epoch: int | None, options: Any
) -> Certificate:
    asked: dict[str, Any] = {"epoch": epoch, "seed": options["seed"], "indices": _numbers(episodes)}
    problems, meta, engine = algorithm.problems(episodes, **asked)
    step = algorithm.training_step(episodes, **asked)
    name = type(algorithm).__name__
    if step.engine != engine.name:
        claim = "no meta-gradient is claimed: its training step is a rule of its own"
        return Certificate(name, repr(step.engine), None, claim, ())
    looped = any(problem.inner.steps for problem in problems)
    rows = list(certify_engine(engine)) if looped else []
    for episode, problem in zip(episodes, problems, strict=True):
        label = episode.task.name if episode.plan is None else problem.name
        rows += _against_differences(problem, label, meta, engine, options)
    rows.append(_step_row(step, problems, meta, engine))
    exact = engine.order == 2 and not isinstance(engine, Implicit)
    return Certificate(
        name, repr(engine.name), engine.order, _claim(engine, looped), tuple(rows), exact
    )


def _claim(engine: Engine, looped: bool) -> str:
    if not looped:
        return "plain gradient, exact; there is no inner loop to differentiate through"
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


def _against_differences(
    problem: Problem, label: str, meta: Meta, engine: Engine, options: Any
) -> list[CertificateRow]:
    """Rows of an episode; directions in which a kink hides the answer are drawn anew, a few
    times.
    """
    found: list[CertificateRow] = []
    for at in range(options["directions"]):
        for attempt in range(_TRIES):
            seed = options["seed"] + options["directions"] * attempt + at
            rows = certify_problem(
                problem,
                meta,
                engine=engine,
                directions=1,
                seed=seed,
                tolerance=options["tolerance"],
            )
            if not any(map(_hidden, rows)):
                break
        found += [_told(row, f"{label}: {row.name[:-2]} {at + 1}") for row in rows]
    return sorted(found, key=lambda row: row.name)


def _step_row(step: Step, problems: list[Problem], meta: Meta, engine: Engine) -> CertificateRow:
    """What the training step hands back against the mean of the episodes' gradients, each taken
    alone.
    """
    total: dict[int, Tensor] = {}
    live: dict[int, Tensor] = {}
    for problem in problems:
        result = meta_gradient(problem, meta, engine=engine)
        rates = meta.rates if isinstance(meta.rates, dict) else {"*": meta.rates}
        for tensors, grads in (
            (meta.params, result.params),
            (rates, result.rates),
            (problem.own, result.own),
        ):
            for name, grad in grads.items():
                tensor = tensors[name]
                if isinstance(tensor, Tensor) and tensor.requires_grad:
                    live[id(tensor)] = tensor
                    total[id(tensor)] = total.get(id(tensor), torch.zeros_like(grad)) + grad / len(
                        problems
                    )
    handed = torch.autograd.grad(step.loss, list(live.values()), allow_unused=True)
    error = _relative(handed, list(total.values()))
    return CertificateRow(
        "training step: mean of the episodes",
        engine.name,
        engine.order,
        error,
        _SAME,
        error <= _SAME,
    )


# -- algorithms that only say what their training step is ------------------------------------------


def _of_steps(
    algorithm: Algorithm | Pretraining, episodes: list[Episode], epoch: int | None, options: Any
) -> Certificate:
    rows, name = [], type(algorithm).__name__
    parameters = {key: value for key, value in algorithm.named_parameters() if value.requires_grad}
    for position, episode in enumerate(episodes):

        def take(episode: Episode = episode, position: int = position) -> Step:
            if isinstance(algorithm, Pretraining):
                batch = TaskBatch(episode.support, episode.task)
                return algorithm.training_step([batch], seed=options["seed"], indices=[position])
            numbers = _numbers([episode])
            return algorithm.training_step(
                [episode], epoch=epoch, seed=options["seed"], indices=numbers
            )

        step = take()
        exact = isinstance(algorithm, Pretraining) or step.order == 2
        found = torch.autograd.grad(step.loss, list(parameters.values()), allow_unused=True)
        # What this step does not see (the heads of other tasks) is left out.
        grads = {key: grad for key, grad in zip(parameters, found, strict=True) if grad is not None}
        kind = CertificateRow(
            f"{episode.task.name}: step", step.engine, step.order, 0.0, options["tolerance"], None
        )
        rows += _step_differences(take, parameters, grads, kind, exact, options)
    claim = (
        "exact gradient of its training step"
        if exact
        else "first order, so differences are not claimed"
    )
    if isinstance(algorithm, Pretraining):
        claim = "plain gradient of a supervised loss, exact; nothing is adapted"
    return Certificate(name, repr(step.engine), step.order, claim, tuple(rows), exact)


def _step_differences(
    take: Callable[[], Step],
    parameters: Mapping[str, Tensor],
    grads: Tree,
    kind: CertificateRow,
    exact: bool,
    options: Any,
) -> list[CertificateRow]:
    at = {key: parameters[key].detach().clone() for key in grads}

    @torch.no_grad()
    def loss(moved: Tree) -> float:
        for key, value in moved.items():
            parameters[key].copy_(value)
        found = float(take().loss)
        for key, old in at.items():
            parameters[key].copy_(old)
        return found

    found = []
    for index in range(options["directions"]):
        for attempt in range(_TRIES):
            generator = torch.Generator().manual_seed(
                options["seed"] + options["directions"] * attempt + index
            )
            row = dataclasses.replace(kind, name=f"{kind.name}, finite differences")
            (row,) = certify_gradient(
                loss, at, grads, row, exact=exact, directions=1, generator=generator
            )
            if not _hidden(row):
                break
        found.append(_told(row, f"{row.name[:-2]} {index + 1}"))
    return found


# -- small things ----------------------------------------------------------------------------------


def _numbers(episodes: list[Episode]) -> list[int] | None:
    """Numbers for random heads and dropout, where an episode has no plan that numbers it."""
    if all(episode.plan is not None for episode in episodes):
        return None
    return [
        at if episode.plan is None else episode.plan.index for at, episode in enumerate(episodes)
    ]


def _hidden(row: CertificateRow) -> bool:
    return bool(row.note) and row.holds is False


def _told(row: CertificateRow, name: str) -> CertificateRow:
    if row.holds is None:
        # A kink does not matter where nothing is claimed.
        return dataclasses.replace(row, name=name, note="")
    return dataclasses.replace(row, name=name, holds=None if _hidden(row) else row.holds)


def _by_differences(row: CertificateRow) -> bool:
    return "finite differences" in row.name


def _kind(row: CertificateRow) -> str:
    """What was moved: `finite differences, rates 2` is of the rates; a whole step is of the
    parameters.
    """
    return "rates" if "finite differences, rates" in row.name else "params"


def _verdict(row: CertificateRow) -> str:
    if row.holds is None:
        return f"cannot tell: {row.note}" if row.note else "not claimed"
    return "holds" if row.holds else "WRONG"


def _relative(handed: Sequence[Tensor | None], expected: Sequence[Tensor]) -> float:
    pairs = [
        (torch.zeros_like(right) if left is None else left, right)
        for left, right in zip(handed, expected, strict=True)
    ]
    apart = torch.stack([(left - right).square().sum() for left, right in pairs]).sum().sqrt()
    length = torch.stack([right.square().sum() for _, right in pairs]).sum().sqrt()
    return float(apart / length.clamp_min(1e-300))
