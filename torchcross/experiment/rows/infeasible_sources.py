"""Why sources cannot give the episodes of a training, in words of the experiment's settings."""

from __future__ import annotations

from collections.abc import Sequence

from torchcross._kit.counts import count_text
from torchcross.experiment.settings.training_sections import MetaTrainingSettings

_MOST_REASONS = 3


def in_settings(error: Exception) -> str:
    """What a sampler says of a source, with the name of the setting for that of its argument."""
    return str(error).replace("min_samples=", "meta.min_images=")


def no_source_text(row: str, settings: MetaTrainingSettings, reasons: Sequence[str]) -> str:
    """No source has the episodes of a row: the first reasons, and the settings to lower."""
    lines = [f"{row}: no source has the episodes asked for: {reasons[0]}"]
    lines += reasons[1:_MOST_REASONS]
    if len(reasons) > _MOST_REASONS:
        lines.append(f"and {count_text(len(reasons) - _MOST_REASONS, 'more sources')}")
    lines.append(
        f"Lower meta.shots = {list(settings.shots)}, meta.queries = {settings.queries} or"
        f" meta.min_images = {settings.min_images} (on the command line: --set meta.queries=N)"
    )
    return "\n".join(lines)
