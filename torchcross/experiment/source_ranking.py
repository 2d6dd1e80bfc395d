"""Which source will help a target: networks of all sources, scored before any training of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, final

from torchcross._kit.counts import count_text
from torchcross._kit.plugin_files import check_loaded, load_plugins
from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError
from torchcross.experiment.source_rules import largest_source, results_of, static_source
from torchcross.experiment.studies import (
    CollectionData,
    engine_of_study,
    full_source_name,
    study_of_values,
)
from torchcross.transfer.rankings.row import LARGEST, STATIC
from torchcross.transfer.source_scores import SourceScores, check_ranking, rank
from torchcross.transfer.source_target import dataset_of, is_self_pair
from torchcross.transfer.studies import (
    SCRATCH,
    StudyFolder,
    StudyMachine,
    StudySettings,
    source_models,
    train_sources,
)
from torchcross.transfer.studies.checks import check_sources
from torchcross.transfer.studies.data import at_most
from torchcross.transfer.studies.inputs import fingerprint_inputs, input_changes, overlap_error
from torchcross.transfer.studies.overlaps import SharedImages
from torchcross.transfer.studies.units import needs_training

ALL = "all"
Split = Literal["all", "train", "val", "test"]


@dataclass(frozen=True, kw_only=True)
class RankingRequest:
    """What is to be ranked, by what.

    data      folder of the datasets; format and channels are as in the settings of a study, and
              channels are by default those of `study`
    target    the dataset or task that a source is sought for; `split` is the part that is scored
    sources   datasets, "reptile:NAME", "NAME=FILE" for a file of weights, "scratch"; "all": all
              datasets that do not overlap with the target, or all sources of a study
    study     folder of a study, whose networks are used; "": those in `networks` are, and what is
              missing there is trained, by the settings `training` of a study
    images    about how many images of the target are scored, a share of each class; 0: all
    halves    random halves of them that tell how sure an order is
    largest   the largest source; "": by the number of images, files of weights before datasets
    results   a published table, or the folder of a study, for the static rule
    device    what networks are trained on and computed with
    plugins   Python files that add backbones, targets or losses
    """

    data: str
    target: str
    sources: tuple[str, ...] = (ALL,)
    format: str = "medimeta"
    channels: Literal[1, 3] | None = None
    split: Split = "train"
    study: str = ""
    networks: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    scores: tuple[str, ...] = ("logme", "knn", "shrunk_h_score")
    images: int = 1000
    halves: int = 40
    seed: int = 0
    largest: str = ""
    results: str = ""
    jobs: int | None = None
    device: str = "auto"
    plugins: tuple[str, ...] = ()


@final
@dataclass(frozen=True, eq=False)
class SourceRanking:
    """Scores of all sources, the sources of simple rules, and what was left out and why.

    `study` is the folder of the study that the networks are of, if any.
    """

    scores: SourceScores
    rules: Mapping[str, str]
    sizes: Mapping[str, int]
    remarks: tuple[str, ...]
    study: str = ""


@dataclass(frozen=True)
class _Networks:
    """Where the networks are, which sources have one, and why others have none."""

    settings: StudySettings
    folder: Path
    sources: tuple[str, ...]
    left_out: tuple[str, ...]


def rank_sources(request: RankingRequest, say: Callable[[str], None]) -> SourceRanking:
    """Rank the sources for a target; networks that are missing are trained first."""
    load_plugins(request.plugins)
    machine = StudyMachine(device=request.device)
    machine.check_here()
    data = CollectionData(request.data, request.format, _channels_of(request))
    target = data.collection.target_name(request.target)
    part = at_most(
        data.collection.target(target, split=request.split), request.images, request.seed
    )
    # Bad input is an error before any training.
    check_ranking(part, request.scores, request.halves)
    results = results_of(request.results or request.study)
    networks = _study_networks if request.study else _own_networks
    known = networks(request, data, target, say)
    models, sizes = source_models(known.settings, data, known.folder, known.sources, machine)
    scores = rank(part, models, scores=request.scores, seed=request.seed, halves=request.halves)
    weights = [name for name in known.settings.study.weights if name in known.sources]
    largest, remarks = largest_source(request.largest, weights, sizes)
    static, more = static_source(target, known.sources, results)
    takes = ((LARGEST, largest), (STATIC, static))
    rules = {rule: source for rule, source in takes if source is not None}
    return SourceRanking(scores, rules, sizes, (*known.left_out, *remarks, *more), request.study)


def _channels_of(request: RankingRequest) -> Literal[1, 3]:
    if not request.study:
        return request.channels or 3
    channels = StudyFolder.open(request.study).settings.channels
    if request.channels not in (None, channels):
        raise InputError(
            f"{request.study} has images of {count_text(channels, 'channels')}, and channels="
            f"{request.channels} was given; leave --channels out"
        )
    return 1 if channels == 1 else 3


def _check_sources(
    request: RankingRequest, sources: Sequence[str], left_out: Sequence[str]
) -> None:
    if request.largest and request.largest not in sources:
        raise InputError(unknown_name("source", request.largest, sources))
    if len(sources) < 2:
        without = f" ({'; '.join(left_out)})" if left_out else ""
        raise InputError(
            f"a ranking needs two sources or more, and there is {list(sources)}{without}; give more"
            " with --sources, such as scratch, a random start"
        )


# -- sources ---------------------------------------------------------------------------------------


def _own_networks(
    request: RankingRequest,
    data: CollectionData,
    target: str,
    say: Callable[[str], None],
) -> _Networks:
    """Networks in a folder of their own; what is missing there is trained."""
    weights, named, left_out = _split_sources(request, data, target)
    datasets, more = _without_shared_images(
        data, [name for name in named if name != SCRATCH], target, ALL in request.sources
    )
    sources = [*datasets, *([SCRATCH] if SCRATCH in named else [])]
    values: dict[str, Any] = {
        **{name: dict(value) for name, value in request.training.items()},
        "data": {"folder": request.data, "format": request.format, "channels": data.channels},
        "scores": {"names": []},
    }
    design = {"sources": sources, "targets": [target], "seeds": [request.seed]}
    values["study"] = {**values.get("study", {}), **design, "weights": weights}
    values |= {"machine": {"device": request.device}, "plugins": list(request.plugins)}
    if request.jobs is not None:
        values["engine"] = {"jobs": request.jobs}
    study = study_of_values(values)
    _check_sources(request, study.settings.study.names, (*left_out, *more))
    folder = Path(request.networks)
    if datasets:
        check_sources(study.settings, data)
        name = study.settings.backbone["name"]
        say(f"a network ({name}) is trained on each of {len(datasets)} datasets, in {folder}")
        engine = engine_of_study(study, folder)
        outcome = train_sources(
            study.settings, data, folder, engine, say, study.machine, study.plugins
        )
        if outcome.stopped:
            raise KeyboardInterrupt
        for failure in outcome.failures:
            raise InputError(f"{failure.key}: {failure.kind}: {failure.reason}")
    return _Networks(study.settings, folder, study.settings.study.names, (*left_out, *more))


def _study_networks(
    request: RankingRequest,
    data: CollectionData,
    target: str,
    say: Callable[[str], None],
) -> _Networks:
    """Networks that a study has trained."""
    study = StudyFolder.open(request.study)
    check_loaded(study.plugins(), request.study)
    settings, design = study.settings, study.settings.study
    if request.training:
        raise InputError(
            f"{request.study} is a study with networks of its own: leave the settings of a training"
            f" out ({', '.join(request.training)})"
        )
    now = fingerprint_inputs(settings, data)
    for change in input_changes(study.inputs(), now):
        raise InputError(f"{request.study}: {change}; give the data that it was made from")
    asked = [name for name in request.sources if name != ALL]
    chosen = [_name_in_study(name, design.names, data) for name in asked]
    for name in chosen:
        if is_self_pair(name, target):
            raise overlap_error(name, target, "it is the target")
    left_out = []
    for name in design.names if ALL in request.sources else ():
        if name in chosen:
            continue
        if is_self_pair(name, target):
            left_out.append(f"{name} is the target")
        elif name in design.unused_sources:
            left_out.append(f"{name}: the study scores it on no target, so it is not trained")
        elif needs_training(name, settings) and (reason := data.overlap(dataset_of(name), target)):
            left_out.append(f"{name}: {reason}")
        else:
            chosen.append(name)
    trained = [name for name in chosen if needs_training(name, settings)]
    kept, more = _without_shared_images(data, trained, target, ALL in request.sources)
    sources = tuple(name for name in chosen if name in kept or name not in trained)
    _check_sources(request, sources, (*left_out, *more))
    return _Networks(settings, Path(request.study), sources, (*left_out, *more))


def _name_in_study(name: str, names: Sequence[str], data: CollectionData) -> str:
    if name in names:
        return name
    if "=" in name:
        raise InputError(f"{name!r}: a study has its own files of weights; give {list(names)}")
    full = full_source_name(name, data)
    if full not in names:
        raise InputError(unknown_name("source of the study", name, names))
    return full


def _split_sources(
    request: RankingRequest, data: CollectionData, target: str
) -> tuple[dict[str, str], list[str], list[str]]:
    """(files of weights by name, datasets and "scratch", why other datasets are left out)."""
    weights: dict[str, str] = {}
    named: list[str] = []
    left_out: list[str] = []
    for item in request.sources:
        name, equals, file = item.partition("=")
        if equals:
            weights[name] = file
        elif item == ALL:
            remaining = data.collection.sources(target, split="train", tasks="primary")
            named += [source.name for source in remaining]
            left_out += [
                f"{dataset}: {reason}"
                for dataset, reason in data.collection.why(target).items()
                if not reason.startswith(("source", "target"))
            ]
        elif item == SCRATCH:
            named.append(item)
        else:
            full = full_source_name(item, data)
            reason = "it is the target"
            if not is_self_pair(full, target):
                reason = data.overlap(dataset_of(full), target)
            if reason:
                raise overlap_error(full, target, reason)
            named.append(full)
    return weights, list(dict.fromkeys(named)), left_out


def _without_shared_images(
    data: CollectionData, names: Sequence[str], target: str, may_leave_out: bool
) -> tuple[list[str], list[str]]:
    """(sources that share no image with the target, why others are left out)."""
    images = SharedImages(data)
    kept, left_out = [], []
    for name in names:
        shared = images.count(dataset_of(name), target)
        if not shared:
            kept.append(name)
            continue
        reason = f"{shared} of its images are images of the target too"
        if not may_leave_out:
            raise overlap_error(name, target, reason)
        left_out.append(f"{name}: {reason}")
    return kept, left_out
