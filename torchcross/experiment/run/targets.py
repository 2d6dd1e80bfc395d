"""The data of a run, and its targets."""

from __future__ import annotations

from torchcross.errors import InputError
from torchcross.experiment.data_formats import Collection, open_collection
from torchcross.experiment.settings.schema import DataSettings


def open_targets(data: DataSettings) -> tuple[Collection, tuple[str, ...]]:
    """The data, and the full names of the targets: those of the settings, or all that there are."""
    collection = open_collection(
        data.format, data.folder, channels=data.channels, leave_out=data.leave_out
    )
    names = tuple(dict.fromkeys(map(collection.target_name, data.targets))) or collection.targets()
    if not names:
        domain = ""
        if data.leave_out == "domain":
            domain = ' or are of one domain, which data.leave_out = "dataset" allows'
        raise InputError(
            f"no dataset of {data.folder} can be left out: none leaves a source behind (there"
            f" is one alone, or all overlap{domain}); add datasets, or"
            " name data.targets for algorithms that learn from no source"
        )
    return collection, names
