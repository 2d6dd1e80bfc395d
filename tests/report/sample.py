"""Rows, curves and pictures to report on: drawn once, the same on every machine that has this
numpy.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from torchcross.episode import Batch, Episode
from torchcross.plan import EpisodePlan
from torchcross.records import Records
from torchcross.report import Curve, Example
from torchcross.report.episode_answers import EpisodeAnswers, EpisodePictures, QueryAnswer
from torchcross.report.episode_picks import picked_episodes
from torchcross.targets import MultiClass, MultiLabel, Prediction
from torchcross.task import Task

HOSTILE = (
    '</script><script>window.hacked=1</script><img src=x onerror="window.hacked=1">'
    "'&|$_{%#~^\\\\`*\N{RIGHT-TO-LEFT OVERRIDE}\x00"
)
ALGORITHMS = ("im-pt", "mm-pt", "mm-maml")


def records(
    domains: int = 4,
    per_domain: int = 2,
    algorithms: Sequence[str] = ALGORITHMS,
    shots: Sequence[int] = (1, 5, 10),
    episodes: int = 20,
    seeds: Sequence[int] = (0,),
    metrics: Sequence[str] = ("auroc", "accuracy"),
    undefined: bool = True,
) -> Records:
    """Scores that grow with shots and fall along the algorithms; episodes are shared, so that pairs
    are alike.
    """
    draw = np.random.default_rng(3)
    columns: dict[str, list[object]] = {name: [] for name in COLUMNS}
    for domain in range(domains):
        for task in range(per_domain):
            ease = draw.uniform(-0.08, 0.08)
            luck = draw.normal(0, 0.05, (len(shots), episodes))
            for place, algorithm in enumerate(algorithms):
                gain = draw.uniform(0.0, 0.04) * place
                for level, k in enumerate(shots):
                    for seed in seeds:
                        noise = draw.normal(0, 0.03, (len(metrics), episodes))
                        base = 0.6 + ease + 0.07 * np.log2(k) - gain + luck[level]
                        for metric, values in zip(
                            metrics, np.clip(base + noise, 0, 1), strict=True
                        ):
                            missing = undefined and task == 1 and k == shots[0]
                            values = np.where((np.arange(episodes) == 3) & missing, np.nan, values)
                            columns["value"] += values.tolist()
                            columns["episode"] += range(episodes)
                            reasons = [
                                "class 'rare' has no query sample" if np.isnan(v) else ""
                                for v in values
                            ]
                            columns["reason"] += reasons
                            row = (
                                "run-1",
                                f"domain{domain}/task {task}",
                                f"domain{domain}",
                                algorithm,
                                k,
                                seed,
                                metric,
                            )
                            for name, value in zip(CONSTANT, row, strict=True):
                                columns[name] += [value] * episodes
    return Records(columns)


CONSTANT = ("run", "target", "domain", "algorithm", "shots", "seed", "metric")
COLUMNS = (*CONSTANT, "episode", "value", "reason")


def curves() -> list[Curve]:
    found = []
    for domain in range(2):
        for place, algorithm in enumerate(ALGORITHMS[1:]):
            steps = list(range(0, 1000, 20))
            loss = [
                1.2 * np.exp(-step / (200 + 100 * place)) + 0.02 * np.sin(step) for step in steps
            ]
            score = [0.5 + 0.3 * (1 - np.exp(-step / 300)) - 0.02 * place for step in steps]
            group = f"without domain{domain}"
            found.append(Curve(algorithm, "training loss", steps, loss, group))
            found.append(Curve(algorithm, "validation auroc", steps, score, group, best=steps[-4]))
    return found


def example(names: Sequence[str] = ("disc", "square", "star"), side: int = 28) -> Example:
    """Three classes of grey shapes, and a predictor that errs on every fourth sample."""
    task = Task("shape", MultiClass(list(names)), domain="toys")
    episode = Episode(_batch(2, side), _batch(4, side), task, _plan(2, 4))
    truth = episode.query.y
    decided = torch.where(torch.arange(len(truth)) % 4 == 1, (truth + 1) % 3, truth)
    probabilities = torch.full((len(truth), 3), 0.1)
    probabilities[torch.arange(len(truth)), decided] = torch.linspace(0.5, 0.8, len(truth))
    probabilities = probabilities / probabilities.sum(1, keepdim=True)
    return Example.of(
        episode,
        Prediction(probabilities, decided),
        target="toys/shape",
        algorithm="mm-pt",
        metric="auroc",
        score=0.83,
    )


def answers(rows: Records, metric: str = "auroc") -> list[EpisodeAnswers]:
    """Of the best, median and worst episodes at the most shots, with pictures of shapes."""
    shots = max(rows.unique("shots"))
    shown = example()
    pictures = EpisodePictures(shown.support, tuple(each.pixels for each in shown.query))
    own = tuple(
        QueryAnswer(place, each.truth, each.predicted or "", each.confidence or 0.0)
        for place, each in enumerate(shown.query)
    )
    return [
        EpisodeAnswers(name, target, shots, pick.seed, pick.episode, own, lambda: pictures)
        for (target, name, level), picks in picked_episodes(rows, metric).items()
        for pick in dict.fromkeys(picks)
        if level == shots
    ]


def labels_example() -> Example:
    """A multi-label episode, one answer of which nobody knows."""
    task = Task("findings", MultiLabel(["cyst", "edema"]), domain="toys")
    images = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([[1, 0], [0, 0], [1, -1]])
    episode = Episode(Batch(images, labels), Batch(images, labels), task)
    prediction = Prediction(
        torch.tensor([[0.9, 0.2], [0.3, 0.7], [0.8, 0.9]]), torch.tensor([[1, 0], [0, 1], [1, 1]])
    )
    return Example.of(
        episode, prediction, target="toys/findings", algorithm="mm-maml", metric="auroc", score=0.5
    )


def _batch(each: int, side: int) -> Batch:
    y, x = torch.meshgrid(torch.linspace(-1, 1, side), torch.linspace(-1, 1, side), indexing="ij")
    shapes = [(x**2 + y**2 < 0.5), (x.abs() < 0.6) & (y.abs() < 0.6), (x * y).abs() < 0.06]
    images = torch.stack([shape.float() for shape in shapes for _ in range(each)])[:, None]
    shades = torch.linspace(0.5, 1.0, len(images)).reshape(-1, 1, 1, 1)
    return Batch(images * shades, torch.arange(3).repeat_interleave(each))


def _plan(support: int, query: int) -> EpisodePlan:
    def codes(each: int) -> np.ndarray:
        return np.repeat(np.arange(3), each)

    def places(each: int) -> np.ndarray:
        return np.arange(3 * each)

    return EpisodePlan(
        7, "toys", (0, 1, 2), support, places(support), codes(support), places(query), codes(query)
    )
