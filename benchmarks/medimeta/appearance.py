"""How much of a synthetic task its appearance gives away, and how much there is to be had:
`python -m benchmarks.medimeta.appearance [--all-tasks] [--seed N] [--size N] [--demo]`.

For each primary task (with `--all-tasks`, for each of the 54): AUROC over 200 five-shot episodes of
two linear heads. One sees eight global statistics of an image (the row `image-statistics`), the
other the numbers that the generator drew the image from. The first should be near .5, the second
near 1. With `--demo` the configuration of `torchcross demo` is run as well, to say how far its best
learned row is ahead of `image-statistics`.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import as_file
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.measure import save, table
from medimeta_adapter.commands.demo_run import SETTINGS
from medimeta_adapter.synthetic import catalog, generate
from medimeta_adapter.synthetic.catalog import CatalogTask
from medimeta_adapter.synthetic.factors import factor_numbers
from medimeta_adapter.synthetic.generate import canvas_and_scene, task_info
from medimeta_adapter.synthetic.plan import DatasetPlan, plan_dataset, scale_of
from torchcross import Task
from torchcross.algorithms import Algorithm, Ridge
from torchcross.data import Episodes, EpisodeSampler, TensorSource
from torchcross.experiment import METHODS, read_experiment, run_experiment
from torchcross.experiment.settings.schema import EvaluationSettings
from torchcross.records import Records

ROW = "image-statistics"
SHOTS, QUERIES, EPISODES, QUICK_EPISODES = 5, 10, 200, 20
_IMAGES_AT_ONCE = 256


@dataclass(frozen=True)
class Mean:
    """A mean over episodes, and its standard error."""

    value: float
    error: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ± {self.error:.3f}"


@dataclass(frozen=True)
class Appearance:
    """AUROC of a task: of the head on statistics, and of the head on factors."""

    task: str
    statistics: Mean
    factors: Mean


class Columns(nn.Module):
    """Numbers that are features already, as images of one pixel."""

    def forward(self, columns: Tensor) -> Tensor:
        return columns.flatten(1)


def appearance_of(
    tasks: Iterable[CatalogTask], *, episodes: int = EPISODES, size: int = 28, seed: int = 0
) -> list[Appearance]:
    """Measure tasks of one dataset, at the scale `small`."""
    (name,) = {task.dataset for task in tasks}
    plan = plan_dataset(catalog.datasets[name], scale_of("small"), seed)
    images = torch.from_numpy(draw(plan, size, seed))
    images = images[:, None] if images.ndim == 3 else images.permute(0, 3, 1, 2)
    row = METHODS[ROW]
    assert row.make_network is not None
    assert row.make_adapter is not None
    on_statistics = row.make_adapter(row.make_network(images.shape[1]), None, EvaluationSettings())
    results = []
    for task in tasks:
        numbers = torch.from_numpy(factor_numbers(task, plan.ranks, seed))
        on_factors = Ridge(Columns(), features=numbers.shape[1])
        means = [
            mean_auroc(algorithm, source_of(plan, task, inputs, seed), episodes)
            for algorithm, inputs in (
                (on_statistics, images),
                (on_factors, numbers[:, :, None, None]),
            )
        ]
        results.append(Appearance(f"{name}/{task.name}", *means))
    return results


def draw(plan: DatasetPlan, size: int, seed: int) -> NDArray[np.uint8]:
    """Return the images that `generate` writes."""
    canvas, scene = canvas_and_scene(plan, size, seed)
    starts = range(0, scene.count, _IMAGES_AT_ONCE)
    stops = [min(start + _IMAGES_AT_ONCE, scene.count) for start in starts]
    return np.concatenate(
        [
            canvas.draw(scene.rows(start, stop), start)
            for start, stop in zip(starts, stops, strict=True)
        ]
    )


def source_of(plan: DatasetPlan, task: CatalogTask, images: Tensor, seed: int) -> TensorSource:
    target = task_info(task, seed).target()
    about = Task(task.name, target, task.domain)
    return TensorSource(images, plan.labels(task), about, groups=plan.subjects)


def mean_auroc(algorithm: Algorithm, source: TensorSource, episodes: int) -> Mean:
    """Adapt to five-shot episodes of a source, and score each."""
    read = Episodes(EpisodeSampler(source, shots=SHOTS, queries=QUERIES, seed=1))
    values = []
    for number in range(episodes):
        episode = read[number]
        prediction = algorithm.adapt(episode.support, episode.task)(episode.query.x).plain
        scores = source.task.target.evaluate(prediction, episode.query.y, ["auroc"])
        values.append(float(scores["auroc"].value))
    return Mean(fmean(values), stdev(values) / len(values) ** 0.5)


def measure(quick: bool, threads: int) -> dict[str, Any]:
    """Print the table of the primary tasks."""
    torch.set_num_threads(threads)
    return measure_all(episodes=QUICK_EPISODES if quick else EPISODES)


def measure_all(
    *, episodes: int, size: int = 28, seed: int = 0, all_tasks: bool = False
) -> dict[str, Any]:
    results = []
    for entry in catalog.datasets.values():
        tasks = entry.tasks if all_tasks else [entry.primary_task]
        results += appearance_of(tasks, episodes=episodes, size=size, seed=seed)
    rows = [[each.task, str(each.statistics), str(each.factors)] for each in results]
    worst = max(each.statistics.value for each in results)
    least = min(each.factors.value for each in results)
    rows.append(["highest; lowest", f"{worst:.3f}", f"{least:.3f}"])
    title = f"AUROC over {episodes} five-shot episodes, seed {seed}, {size} pixels"
    table(title, ["task", "eight statistics", "factors"], rows)
    return {each.task: asdict(each) for each in results}


def measure_demo() -> dict[str, float]:
    """Run the configuration of `torchcross demo`, and print the rows' means over its targets."""
    with tempfile.TemporaryDirectory() as folder:
        data = generate(Path(folder) / "data", scale="small")
        with as_file(SETTINGS) as path:
            experiment = read_experiment(path, {"data.folder": str(data)})
        records = run_experiment(experiment, Path(folder) / "run").records
    means = means_over_targets(records, max(experiment.shots))
    ahead = max(means[name] for name in means if METHODS[name].trains) - means[ROW]
    rows = [[name, f"{mean:.3f}"] for name, mean in means.items()]
    rows.append(["best learned row, ahead of the statistics", f"{ahead:.3f}"])
    table("the demo: mean AUROC of its targets", ["row", f"{max(experiment.shots)} shots"], rows)
    return {**means, "ahead": ahead}


def means_over_targets(records: Records, shots: int) -> dict[str, float]:
    """Return the mean over targets of each row's mean AUROC."""
    chosen = records.where(metric="auroc", shots=shots)
    means = {}
    for row in chosen.unique("algorithm"):
        own = chosen.where(algorithm=row)
        cells = [own.where(target=target) for target in own.unique("target")]
        means[row] = fmean(fmean(record.value for record in cell) for cell in cells)
    return means


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="benchmarks.medimeta.appearance",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_EPISODES} episodes a task")
    parser.add_argument("--all-tasks", action="store_true", help="all 54 tasks")
    parser.add_argument("--seed", type=int, default=0, help="of the generated images")
    parser.add_argument("--size", type=int, default=28, help="side of the images in pixels")
    parser.add_argument("--demo", action="store_true", help="run the demo, too: minutes")
    parser.add_argument("--json", type=Path, help="write the numbers to this file too")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    results = measure_all(
        episodes=QUICK_EPISODES if options.quick else EPISODES,
        size=options.size,
        seed=options.seed,
        all_tasks=options.all_tasks,
    )
    if options.demo:
        results["demo"] = measure_demo()
    if options.json:
        save(options.json, results)


if __name__ == "__main__":
    main()
