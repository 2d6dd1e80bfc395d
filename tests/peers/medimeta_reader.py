"""What the published medimeta 0.0.6 reads from a folder of datasets. Runs in the peers'
environment.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from medimeta import MedIMeta, get_available_tasks

Arrays = dict[str, np.ndarray]


def main(inputs: Arrays, root: str, requests: str) -> dict[str, Any]:
    """Images, labels and classes for every request [dataset, task, split, original split, whether
    from HDF5].
    """
    found: dict[str, Any] = {"available": json.dumps(get_available_tasks(root))}
    for number, (dataset, task, split, original, hdf5) in enumerate(json.loads(requests)):
        source = MedIMeta(root, dataset, task, split=split, original_split=original, use_hdf5=hdf5)
        items = [source[row] for row in range(len(source))]
        found[f"images {number}"] = np.stack([image.numpy() for image, _ in items])
        found[f"labels {number}"] = np.stack([label.numpy() for _, label in items])
        found[f"described {number}"] = json.dumps(
            [
                source.task_target.name,
                list(source.classes.items()),
                source.domain_identifier,
                list(source.input_size),
            ]
        )
    infos = {
        dataset: MedIMeta.get_info_dict(root, dataset) for dataset in json.loads(found["available"])
    }
    return found | {"infos": json.dumps(infos)}
