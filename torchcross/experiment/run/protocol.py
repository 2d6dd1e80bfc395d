"""protocol.json: what a run does, in words, and which episodes its targets give."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any, final

from torchcross.experiment.rows.addressed_backbones import pretrained_backbone
from torchcross.experiment.rows.disputed_choices import choices
from torchcross.experiment.rows.methods import METHODS, rows_of_experiment
from torchcross.experiment.rows.row_shots import blanks_in_words, shots_of_row
from torchcross.experiment.rows.stored_features import features_in_words
from torchcross.experiment.rows.target_episodes import TargetEpisodes, target_episodes
from torchcross.experiment.rows.tuning_words import tuning_for_protocol
from torchcross.experiment.run.cell_parts import KnownEpisodes
from torchcross.experiment.run.cells import RunContext
from torchcross.experiment.run.checks import settings_without_effect
from torchcross.experiment.run.folder import PROTOCOL
from torchcross.experiment.run.json_files import write_json
from torchcross.experiment.run.prediction_store import PredictionStore
from torchcross.experiment.run.row_texts import texts_for_protocol
from torchcross.experiment.settings.plain import as_plain, digest
from torchcross.experiment.settings.published import published_part, weights_cautions
from torchcross.experiment.settings.row_settings import experiments_by_backbone

_IMAGES = "query images"
_KIND_DIGITS = 8


@final
class Protocol:
    """What is known of the episodes of targets, and the file that says it."""

    def __init__(self, run: RunContext) -> None:
        self._run = run
        self._episodes = dict(run.folder.plain(PROTOCOL).get("episodes of targets", {}))
        # What is known of targets that cannot be read just now.
        self._earlier: dict[str, Any] = {}

    def start(self, targets: Iterable[str]) -> None:
        """Look at the labels of these targets, write the file, and say what a reader must know.

        A target that cannot be read now is an error of the cells that need it.
        """
        self.look(targets)
        self._write()
        for caution in weights_cautions(self._run.experiment):
            self._run.say(f"warning: {caution}")
        experiment = self._run.experiment
        blanks = blanks_in_words(rows_of_experiment(experiment), experiment.shots)
        features = filter(None, [features_in_words(experiment)])
        for note in (*self._cautions(), *settings_without_effect(experiment), *blanks, *features):
            self._run.say(f"note: {note}")

    def look(self, targets: Iterable[str]) -> None:
        """Look at the labels of these targets; what cannot be read stays unknown."""
        for target in targets:
            earlier = self._episodes.pop(target, None)
            try:
                self.episodes_of(target)
            except Exception:  # noqa: BLE001 - it is an error of the cells that need it
                if earlier is not None:
                    self._earlier[target] = earlier

    def episode_counts(self) -> dict[str, int]:
        """How many episodes there are, for each target whose episodes are known."""
        return {target: each["episodes"] for target, each in self._episodes.items()}

    def known_episodes(self) -> dict[str, KnownEpisodes]:
        """The same, with the kind of the parts of a target's cells, and how many images it has."""
        evaluation = self._run.experiment.evaluation
        shown = {"metric": evaluation.metric, "predictions": self.prediction_store().is_open}
        return {
            target: KnownEpisodes(
                each["episodes"],
                digest({**shown, "episodes": as_plain(each)})[:_KIND_DIGITS],
                each.get("data", {}).get("images", 0),
            )
            for target, each in self._episodes.items()
        }

    def complete(self) -> None:
        """Say what is known by now of targets that could not be read when the run began."""
        known = self.episode_counts()
        for target in self._run.targets:
            if target not in known and self._run.has_rows(target):
                with suppress(Exception):
                    self.episodes_of(target)
        if self.episode_counts() != known:
            self._write()

    def episodes_of(self, target: str) -> TargetEpisodes:
        count = self._episodes.get(target, {}).get("episodes")
        source = self._run.collection.target(target)
        episodes = target_episodes(source, self._run.experiment, count)
        images = self._episodes.get(target, {}).get(_IMAGES)
        images = episodes.query_images() if images is None else images
        self._episodes[target] = {**episodes.describe(), _IMAGES: images}
        return episodes

    def prediction_store(self) -> PredictionStore:
        """Where the predictions of all cells go, as far as its targets can be read now."""
        run = self._run
        of_episodes = sum(each.get(_IMAGES, 0) for each in self._all_episodes().values())
        images = 0
        for name in rows_of_experiment(run.experiment):
            each = of_episodes
            if METHODS[name].supervised:
                each = sum(map(self._test_images, run.targets))
            images += each * len(shots_of_row(name, run.experiment.shots))
        return PredictionStore(run, images * len(run.experiment.seeds))

    def _all_episodes(self) -> dict[str, Any]:
        return {**self._earlier, **self._episodes}

    def _test_images(self, target: str) -> int:
        try:
            return len(self._run.collection.target(target, split="test"))
        except Exception:  # noqa: BLE001 - it is an error of the cells that need it
            return 0

    def _cautions(self) -> list[str]:
        collection, targets = self._run.collection, self._run.targets
        return [
            f"{target}: {caution}" for target in targets for caution in collection.cautions(target)
        ]

    def _write(self) -> None:
        run, experiment = self._run, self._run.experiment
        weights = {
            label: known.weights.as_dict()
            for label, own in experiments_by_backbone(experiment).items()
            if (known := pretrained_backbone(own)) is not None
        }
        protocol = {
            "preset": experiment.preset,
            "rows": {row: METHODS[row].description for row in rows_of_experiment(experiment)},
            "targets": {target: dict(run.collection.why(target)) for target in run.targets},
            "order of targets": [
                self._all_episodes().get(target, {}).get("name", target) for target in run.targets
            ],
            "episodes of targets": self._all_episodes(),
            "experiment": experiment,
            **({"weights": weights.get("", weights)} if weights else {}),
            **texts_for_protocol(experiment, run.collection, run.targets),
            "interval": (
                "over images of a target where its episodes share some, else over episodes; with"
                " several training seeds, over seeds too"
            ),
            "related targets": [sorted(group) for group in run.collection.related_targets()],
            # As pairs: the most important choice comes first, and JSON files of a run sort names.
            "choices": list(choices(experiment).items()),
            "published": published_part(experiment),
            "predictions": self.prediction_store().description,
            "tuning": tuning_for_protocol(experiment),
            "cautions": [*self._cautions(), *weights_cautions(experiment)],
            "settings without effect": settings_without_effect(experiment),
        }
        if features := features_in_words(experiment):
            protocol["features"] = features
        write_json(run.folder.path / PROTOCOL, as_plain(protocol))
