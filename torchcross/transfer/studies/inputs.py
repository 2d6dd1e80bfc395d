"""What a study is computed from: its datasets and weights, looked at before anything is made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from torchcross._kit.plugin_files import PluginFile, load_plugins
from torchcross._kit.user_files import read_user_file
from torchcross.data import TaskSource
from torchcross.data.sources.feature_source import image_fingerprint
from torchcross.errors import InputError
from torchcross.transfer.source_target import SCRATCH, dataset_of
from torchcross.transfer.studies.data import SPLITS, StudyData
from torchcross.transfer.studies.settings import StudySettings

PLUGIN: Final = "plugin "
"""How the names of plugin files begin among the inputs of a study."""


def fingerprint_inputs(settings: StudySettings, data: StudyData) -> dict[str, str]:
    """A digest of every dataset (labels, subjects, 64 images) and of every file of weights."""
    inputs = {f"data {name}": _digest_of(data.open(name)) for name in datasets_of(settings)}
    if settings.study.splits == "own":
        for name in settings.study.targets:
            digests = [_digest_of(data.part(name, split)) for split in SPLITS]
            inputs[f"splits {name}"] = hashlib.sha256("".join(digests).encode()).hexdigest()
    for name, file in _weight_files(settings):
        try:
            content = read_user_file(Path(file))
        except OSError as error:
            raise InputError(
                f"the weights {name!r} are {file!r}, which cannot be read: {error.strerror}; give a"
                " file of weights"
            ) from error
        inputs[f"weights {name}"] = hashlib.sha256(content).hexdigest()
    return inputs


def plugin_inputs(plugins: Iterable[str]) -> dict[str, str]:
    """The SHA-256 of each plugin file, which is loaded; each is known by its name and content."""
    return {
        f"{PLUGIN}{each.name}{_ending(each.sha256)}": each.sha256 for each in load_plugins(plugins)
    }


def plugin_files(inputs: Mapping[str, str]) -> list[PluginFile]:
    """The plugin files among the inputs of a study; a key of an earlier version is a name alone."""
    files = []
    for key, digest in inputs.items():
        if key.startswith(PLUGIN):
            name = key.removeprefix(PLUGIN).removesuffix(_ending(digest))
            files.append(PluginFile(name, digest))
    return list(dict.fromkeys(files))


def _ending(digest: str) -> str:
    return f" {digest[:12]}"


def datasets_of(settings: StudySettings) -> tuple[str, ...]:
    """The datasets that are learned from or scored, each once."""
    design = settings.study
    sources = (dataset_of(name) for name in design.sources if name != SCRATCH)
    return tuple(dict.fromkeys((*sources, *design.targets)))


def synthetic_datasets(settings: StudySettings, data: StudyData) -> tuple[str, ...]:
    """The datasets that are made up, as far as the data knows."""
    is_synthetic = getattr(data, "is_synthetic", None)
    if is_synthetic is None:
        return ()
    return tuple(name for name in datasets_of(settings) if is_synthetic(name))


def _weight_files(settings: StudySettings) -> Iterator[tuple[str, str]]:
    yield from settings.study.weights.items()
    if settings.scores.task2vec and (file := probe_weights(settings)):
        yield "of the probe", file


def probe_weights(settings: StudySettings) -> str:
    """The file of the weights that embeddings are made with; empty for random values."""
    return settings.scores.probe_weights or next(iter(settings.study.weights.values()), "")


def with_absolute_paths(settings: StudySettings) -> StudySettings:
    """The same study for a process with another working folder."""
    design, scores = settings.study, settings.scores
    weights = {name: str(Path(file).absolute()) for name, file in design.weights.items()}
    probe = scores.probe_weights and str(Path(scores.probe_weights).absolute())
    return replace(
        settings,
        study=replace(design, weights=weights),
        scores=replace(scores, probe_weights=probe),
    )


def _digest_of(source: TaskSource) -> str:
    parts = hashlib.sha256(source.fingerprint().encode())
    if source.groups is not None:
        parts.update(source.groups.astype("<i8").tobytes())
    parts.update(image_fingerprint(source).encode())
    return parts.hexdigest()


def overlap_error(source: str, target: str, reason: str) -> InputError:
    return InputError(
        f"{source!r} cannot be a source of {target!r}: {reason}. Leave one of them out of the study"
    )


def input_changes(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """What is not as it was, of the inputs that both have."""
    for name, value in now.items():
        if before.get(name, value) != value:
            yield f"{name} has other content than it had"


def missing_inputs(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """The plugin files that a study was made with, and that are not given now as they were."""
    used, present = plugin_files(before), plugin_files(now)
    others = {each.name for each in present if each not in used}
    for each in used:
        if each not in present:
            yield _words_of_missing(each, has_other=each.name in others)


def _words_of_missing(plugin: PluginFile, *, has_other: bool) -> str:
    name, digest = plugin.name, plugin.sha256[:12]
    if has_other:
        return f"{PLUGIN}{name} has other content than it had (SHA-256 {digest})"
    return f"{PLUGIN}{name} (SHA-256 {digest}) was given and is not: --plugin {name}"
