"""A whole experiment on made-up datasets on disk that takes a second, and the command line that
runs it.
"""

import hashlib

from medimeta_adapter.synthetic import generate

DATASETS = ("oct", "bus", "derm")
SETTINGS = """
preset = "quick"
algorithms = ["mm-pt", "mm-maml", "protonet", "ncm"]
shots = [1, 5]

[data]
folder = "data"
targets = ["oct", "bus"]
source_tasks = "primary"
channels = 1

[model.backbone]
channels = 2

[pretraining]
steps = 3
batch_size = 8
validate_every = 2
validation_images = 8

[meta]
steps = 3
meta_batch = 1
inner_steps = 1
validation_inner_steps = 1
shots = [1, 1]
queries = 1
min_images = 2
validate_every = 2
validation_episodes = 1

[evaluation]
episodes = 2
queries = 2
min_images = 10
steps = 1
adaptation = "own"
"""


def prepare(root, datasets=DATASETS):
    """The datasets and the configuration in a folder."""
    if datasets:
        generate(root / "data", scale="tiny", size=16, only=datasets)
    (root / "small.toml").write_text(SETTINGS)
    return root


def command(root, out, *more):
    return ["run", str(root / "small.toml"), "--out", str(out), "--jobs", "1", *more]


def files(folder):
    """A digest of every file of a run but those that say how it was made."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("lock", "environment.json")
    }
