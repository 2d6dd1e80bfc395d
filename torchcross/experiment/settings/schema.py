"""The settings of an experiment: frozen sections, with a default wherever there is a sensible one.

The docstrings of the sections are the help of `torchcross run --settings` and the tables of
docs/experiments.md. What else is known of a setting stands with its field (see `option`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, ClassVar, Literal

from torchcross.experiment.settings.fine_tuning_settings import FineTuningSettings
from torchcross.experiment.settings.model_settings import NORMALISATIONS, ModelSettings
from torchcross.experiment.settings.shots import ShotsSetting, episode_shots, support_shots
from torchcross.experiment.settings.text_settings import TextSettings
from torchcross.experiment.settings.tracker_settings import TrackerSettings
from torchcross.experiment.settings.training_sections import (
    MetaTrainingSettings,
    PretrainingSettings,
)
from torchcross.experiment.settings.tune_settings import TuneSettings
from torchcross.records.shots import ALL
from torchcross.training.options import option, refuse_first, table_option


@dataclass(frozen=True, kw_only=True)
class DataSettings:
    """Where the datasets are, and which of them are targets.

    folder        the folder that holds the datasets
    format        the format of the datasets: a name of the entry points `torchcross.collections`
    targets       dataset ids, or ids with a task ("oct/urgent referral"); empty: every dataset
    source_tasks  "primary": the first task of every source dataset; "all": every task
    leave_out     what leaves the sources of a target. "dataset": its dataset, and those that are
                  listed to overlap with it, as published; "domain": also every other dataset of its
                  domain, listed or not
    channels      1 or 3: the channels that every image is converted to
    features      the folder of `torchcross features`: a run takes features from there that it would
                  make itself
    """

    folder: str = option(MISSING, decides_numbers=False)
    format: str = "medimeta"
    targets: tuple[str, ...] = ()
    source_tasks: Literal["primary", "all"] = "all"
    leave_out: Literal["dataset", "domain"] = "domain"
    channels: Literal[1, 3] = 3
    features: str = option("features", decides_numbers=False)


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings:
    """Episodes of the target, and how rows adapt to their support sets.

    episodes     episodes per target and number of shots, the same ones for every algorithm
    queries      query images per class
    query        "balanced": as many query images of each class; "natural": as many images in all,
                 drawn as they come, so that classes have the prevalence that they have in the
                 target
    support      "balanced": as many support images of each class; "natural": shots x classes
                 images in all, drawn as they come. Classes may be missing; every row answers for
                 them by one rule. `torchcross compare` shows how far rows fall
    min_images   classes with fewer images are left out (labels: fewer with, or fewer without)
    filter_binary  whether `min_images` holds for binary targets too, which are then refused;
                 false: they keep both classes, as published
    disjoint     true: episodes share no image; there are as many as the data gives, and at most
                 `episodes`. false: they overlap, and intervals over images need the plans that the
                 run keeps
    groups       "respect": where subjects are known, none is in both support and query; "ignore":
                 subjects are not looked at, as published
    adaptation   "fine-tune": a fresh head, and Adam on all parameters, for every row, as published;
                 "own": each algorithm adapts in its own way, where it has one
    steps        steps of Adam in fine-tuning
    lr           learning rate of fine-tuning
    inner_steps  steps of an algorithm's own adaptation; 0: as many as in validation
    C            of logistic regression, as in scikit-learn: it weighs the losses of the support, so
                 a larger one penalises less
    temperature  of logistic regression: "leave-one-out" divides the scores by the temperature that
                 makes samples of the support likeliest to heads that were fitted without them;
                 "none": they stay. It is 1 with one shot of each class
    sets         conformal prediction sets of logistic regression, stored with the predictions:
                 "leave-one-out" of the support, "split" (half of it sets their size), or "none"
    coverage     the share of images whose set is to have their class
    features     where no row moves the starting network, its features are computed once for each
                 target, in blocks: "float32", or "float16", which is an approximation. "none": each
                 episode has forwards of its own, as in all other runs
    norm         BatchNorm policy: "running", "batch", "frozen" or "support". "": `running` for
                 fine-tuning; for an algorithm's own adaptation, the policy it was trained with
    metric       the metric that leads the table; rows hold every metric, and
                 `torchcross report --metric` chooses another
    margin       a difference that is too small to matter, in the unit of `metric`: .01 of an AUROC
                 is one percentage point. The page says how likely two algorithms are that close
                 across targets. 0: it does not
    interval     interval of a mean over episodes, with one training seed: "t", "normal" (1.96
                 standard errors, as published) or "bca" (bootstrap)
    uncertainty  what intervals and marks are about where episodes share images: "images": other
                 images like these, and the other kind is stated beside it; "episodes": other
                 episodes of these very images, which is narrower
    predictions  the most predictions that a run stores; a prediction is of one query image of one
                 episode. A run that makes more stores none, and says so. 0: none are stored
    subgroups    columns of the data's annotations (MedIMeta: annotations.csv) that results are also
                 shown by; with edges where a column has numbers: ["sex", "age:40,65"]
    specificity  the specificity at which the page gives the sensitivity of each class
    seed         seed of the episodes: another seed draws other episodes
    """

    by_row: ClassVar[tuple[str, ...]] = (
        "steps",
        "lr",
        "inner_steps",
        "C",
        "temperature",
        "norm",
    )
    """What a row can have of its own; the others make the episodes, the same ones for all rows."""

    episodes: int = 100
    queries: int = 10
    query: Literal["balanced", "natural"] = option("balanced", earlier="balanced")
    support: Literal["balanced", "natural"] = option("balanced", earlier="balanced")
    min_images: int = option(50, may_be_zero=True)
    filter_binary: bool = option(True, earlier=True)
    disjoint: bool = False
    groups: Literal["respect", "ignore"] = "respect"
    adaptation: Literal["fine-tune", "own"] = "fine-tune"
    steps: int = 50
    lr: float = 1e-3
    inner_steps: int = option(0, may_be_zero=True)
    C: float = option(10.0, earlier=10.0)
    temperature: Literal["none", "leave-one-out"] = option("none", earlier="none")
    sets: Literal["none", "leave-one-out", "split"] = option("none", earlier="none")
    coverage: float = option(0.9, earlier=0.9)
    features: Literal["float32", "float16", "none"] = option("float32", earlier="none")
    norm: Literal["", "running", "batch", "frozen", "support"] = ""
    metric: str = option("auroc", decides_numbers=False)
    margin: float = option(0.01, may_be_zero=True, decides_numbers=False)
    interval: Literal["t", "normal", "bca"] = option("t", decides_numbers=False)
    uncertainty: Literal["images", "episodes"] = option("images", decides_numbers=False)
    predictions: int = option(1_000_000, may_be_zero=True, decides_numbers=False)
    subgroups: tuple[str, ...] = option((), decides_numbers=False)
    specificity: float = option(0.9, decides_numbers=False)
    seed: int = option(0, may_be_zero=True)

    @property
    def fine_tuning_norm(self) -> str:
        return self.norm or "running"


@dataclass(frozen=True, kw_only=True)
class MachineSettings:
    """Where the experiment runs.

    device         where networks train and adapt: "cpu", "cuda", "cuda:1" and so on; "auto": a GPU
                   where there is one
    precision      of training: "32", or "bf16-mixed"; evaluation is always in 32
    threads        that one training or evaluation computes with; more of them give other last bits
                   of numbers. 0: as many as torch takes
    ranks          processes that share one training, each with so many threads, and on "cuda" with
                   a GPU of its own. A training has as many of them as divide its step: the episodes
                   of `meta.meta_batch`, the batches of `pretraining.accumulate`. Their number
                   changes rounding alone, and a run may go on with another one
    workers        processes that read ahead while a network trains
    unit_episodes  the most episodes that one unit scores: a cell with more of them is several units
    gpus           of one unit; 0.5: two units share one
    memory         of one unit in GB, as `torchcross plan` measures it: no more units start than
                   there is memory for. 0: it is not looked at
    """

    device: str = "auto"
    precision: Literal["32", "bf16-mixed"] = "32"
    threads: int = option(1, may_be_zero=True, earlier=0)
    ranks: int = option(1, decides_numbers=False, earlier=1)
    workers: int = option(0, may_be_zero=True, decides_numbers=False)
    unit_episodes: int = option(1000, decides_numbers=False)
    gpus: float = option(1.0, decides_numbers=False)
    memory: float = option(0.0, may_be_zero=True, decides_numbers=False)


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """A whole experiment. Only `experiment_from_values` and `read_experiment` apply presets.

    preset          the protocol that gives its values to the settings you leave out
    preset_version  the version of the preset; 0: the newest. A run goes on with the version that it
                    began with
    algorithms      rows of the table
    shots           support images per class; 0: none, for rows that need none (zero-shot); "all":
                    all labels of the target's train split, for the row `supervised`
    seeds           training seeds: a column in the rows; intervals resample them
    rows            settings of single rows: a table `[rows.mm-maml]` with, say, `meta.lr = 3e-4`.
                    They are those of pretraining, meta and fine_tuning, and `steps`, `lr`,
                    `inner_steps`, `C`, `temperature` and `norm` of evaluation
    tuned           what `torchcross tune` chose for each target and row, and how it searched;
                    `torchcross run --tuned FOLDER` reads it
    plugins         Python files that add rows, backbones, targets or losses: `["mine.py"]`. A run
                    goes on only while their content is the same; further files can be added
    engine          what makes the parts of a run: its `name` ("local", "slurm", "ray" or one of
                    another package) and its own settings, such as `jobs = 4` of "local". It decides
                    no row
    """

    preset: str = "medimeta-table4"
    preset_version: int = option(0, may_be_zero=True, decides_numbers=False, earlier=1)
    algorithms: tuple[str, ...] = ("scratch", "mm-pt", "mm-maml", "protonet")
    shots: tuple[ShotsSetting, ...] = option((5,), may_be_zero=True)
    seeds: tuple[int, ...] = option((0,), may_be_zero=True)
    rows: Mapping[str, Any] = field(default_factory=dict)
    tuned: Mapping[str, Any] = field(default_factory=dict)
    plugins: tuple[str, ...] = option((), earlier=())
    engine: Mapping[str, Any] = table_option()
    data: DataSettings
    model: ModelSettings = field(default_factory=ModelSettings)
    pretraining: PretrainingSettings = field(default_factory=PretrainingSettings)
    meta: MetaTrainingSettings = field(default_factory=MetaTrainingSettings)
    text: TextSettings = option(  # noqa: RUF009 (it makes a field)
        TextSettings(), earlier=TextSettings()
    )
    evaluation: EvaluationSettings = field(default_factory=EvaluationSettings)
    fine_tuning: FineTuningSettings = option(  # noqa: RUF009 (it makes a field)
        FineTuningSettings(), earlier=FineTuningSettings()
    )
    tune: TuneSettings = field(default_factory=TuneSettings)
    machine: MachineSettings = field(default_factory=MachineSettings)
    trackers: TrackerSettings = option(  # noqa: RUF009 (it makes a field)
        TrackerSettings(), decides_numbers=False
    )
    read_from: tuple[Mapping[str, Any], Mapping[str, Any]] = field(
        init=False, repr=False, compare=False, default=({}, {})
    )
    """The values and the overrides that it was read from. Not a setting: no copy has it."""

    @property
    def support_shots(self) -> tuple[int, ...]:
        """The numbers of shots that supports are drawn with; none where no row has episodes."""
        return support_shots(self.shots)

    @property
    def most_shots(self) -> int:
        """The most of them that an episode has, which may be 0."""
        return max(episode_shots(self.shots), default=0)

    @property
    def own_steps(self) -> int:
        """Inner steps of an algorithm that adapts to a target in its own way."""
        return self.evaluation.inner_steps or self.meta.validation_inner_steps

    def __post_init__(self) -> None:
        algorithms, shots, seeds = list(self.algorithms), list(self.shots), list(self.seeds)
        lists = (("algorithms", algorithms), ("shots", shots), ("seeds", seeds))
        refuse_first(
            (
                not self.data.folder,
                "data.folder is empty; give the folder that holds the datasets",
            ),
            *(
                problem
                for label in self.model.labels or ("",)
                for problem in _problems_of_model(self.model.of_label(label), self.data.channels)
            ),
            (
                0 < self.evaluation.steps <= self.fine_tuning.warmup,
                f"fine_tuning.warmup={self.fine_tuning.warmup} leaves none of evaluation.steps="
                f"{self.evaluation.steps}; give fewer steps of warm-up",
            ),
            *((not values, f"{name} is empty; give at least one") for name, values in lists),
            *(
                (len({*values}) < len(values), f"{name}={values} names one twice")
                for name, values in (*lists, ("data.targets", list(self.data.targets)))
            ),
            (
                any(number < 0 for number in (*episode_shots(shots), *seeds)),
                f"shots={shots} and seeds={seeds}: give numbers from 0",
            ),
        )
        supervised = "supervised" in algorithms
        others = [name for name in algorithms if name != "supervised"]
        refuse_first(
            (
                self.preset == "fully-supervised" and not supervised,
                "the preset 'fully-supervised' is algorithms=['supervised'] with shots=['all'], and"
                f" algorithms={algorithms} was given; leave algorithms and shots out, or give"
                " --algorithms supervised --shots all",
            ),
            (
                supervised != (ALL in shots),
                f"algorithms={algorithms} with shots={shots}: 'supervised' goes with 'all' among"
                " the shots, and 'all' with 'supervised' among the algorithms, as in the preset"
                " 'fully-supervised'; give both or none",
            ),
            (
                bool(others) != bool(episode_shots(shots)),
                f"algorithms={algorithms} with shots={shots}: other rows than 'supervised' go with"
                " numbers of shots; give both or none",
            ),
        )


def _problems_of_model(model: ModelSettings, channels: int) -> Iterator[tuple[bool, str]]:
    """(whether it holds, what is wrong), for a model of one backbone."""
    has_mean = bool(NORMALISATIONS[model.normalisation or "none"][0])
    yield (
        channels == 1 and has_mean and not model.has_weights,
        f"model.normalisation={model.normalisation!r} is for three channels and data.channels is"
        " 1; give data.channels=3, or leave normalisation out",
    )
    yield (
        bool(model.weights) and model.backbone.is_pretrained,
        f"model.weights={model.weights!r} and model.backbone={model.backbone.name!r} are two sets"
        " of weights; leave model.weights out, or give model.backbone.pretrained=false",
    )
