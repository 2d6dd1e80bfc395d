"""A run's folder as the runner leaves it, made without running."""

from __future__ import annotations

from torchcross.experiment import RunFolder, experiment_from_values
from torchcross.experiment.run.json_files import write_json
from torchcross.experiment.run.run_files import cell_name
from torchcross.records import EpisodeRecord, Records


def made_run(
    path, *, algorithms=("scratch", "mm-maml"), metric="auroc", failures=(), rows=True, **settings
):
    """Return its path; the rows are of two targets."""
    told = experiment_from_values(
        {"algorithms": list(algorithms), "data": {"folder": "data", "targets": ["oct", "derm"]}},
        {"evaluation.metric": metric, **settings},
    )
    folder = RunFolder.begin(path, told)
    for place, algorithm in enumerate(algorithms if rows else ()):
        for target in ("oct", "derm"):
            made = [
                EpisodeRecord(
                    path.name,
                    f"{target}/t",
                    target,
                    algorithm,
                    5,
                    0,
                    episode,
                    name,
                    0.5 + 0.1 * place + 0.01 * episode,
                )
                for episode in range(4)
                for name in ("auroc", "accuracy")
            ]
            name = cell_name(algorithm, 0, 5, target)
            Records.of(made).write(folder.files.rows(name))
            about = {"target": f"{target}/t", "algorithm": algorithm, "shots": 5, "seed": 0}
            write_json(
                folder.files.episodes(name),
                {**about, "digest": "not known", "shared subjects": 0, "episodes": 4},
            )
    write_json(
        path / "protocol.json",
        {"preset": "quick", "related targets": [["derm/t", "oct/t"], ["a/b", "c/d"]]},
    )
    write_json(path / "provenance.json", {"data": {"synthetic": "2 of 2 datasets are made up"}})
    write_json(path / "failures.json", {"failures": list(failures)})
    return path
