"""As much of MLflow, wandb and trackio as their trackers see. What they keep outlives a client, as
a server's runs do.
"""

from types import ModuleType, SimpleNamespace
from typing import NamedTuple


class Point(NamedTuple):
    key: str
    value: float
    time: int
    step: int


class Pair(NamedTuple):
    key: str
    value: str


class MlflowError(Exception):
    def __init__(self, error_code):
        super().__init__(error_code)
        self.error_code = error_code


class MlflowStore:
    """The runs of a server, by their ids; `requests` has the sizes of what came at once."""

    def __init__(self):
        self.experiments, self.runs, self.requests = {}, {}, []
        self.made_elsewhere = False


class MlflowClient:
    def __init__(self, store):
        self.store = store

    def get_experiment_by_name(self, name):
        number = self.store.experiments.get(name)
        return None if number is None else SimpleNamespace(experiment_id=number)

    def create_experiment(self, name):
        self.store.experiments[name] = "7"
        if self.store.made_elsewhere:
            raise MlflowError("RESOURCE_ALREADY_EXISTS")
        return "7"

    def create_run(self, experiment, run_name, tags):
        info = SimpleNamespace(
            run_id=f"run{len(self.store.runs)}",
            run_name=run_name,
            experiment_id=experiment,
            lifecycle_stage="active",
            status="RUNNING",
        )
        data = SimpleNamespace(metrics={}, tags=dict(tags), params={})
        run = SimpleNamespace(info=info, data=data, points=[])
        self.store.runs[info.run_id] = run
        return run

    def get_run(self, run_id):
        if run_id not in self.store.runs:
            raise MlflowError("RESOURCE_DOES_NOT_EXIST")
        return self.store.runs[run_id]

    def update_run(self, run_id, status):
        self.store.runs[run_id].info.status = status

    def set_terminated(self, run_id, status):
        # As MLflow does where the server has pages.
        print(f"View run {run_id}")
        self.store.runs[run_id].info.status = status

    def get_metric_history(self, run_id, name):
        return [point for point in self.store.runs[run_id].points if point.key == name]

    def log_batch(self, run_id, metrics=(), params=(), tags=()):
        assert len(metrics) <= 1000
        assert len(params) <= 100
        run = self.store.runs[run_id]
        self.store.requests.append(len(metrics))
        run.points += metrics
        run.data.metrics |= {point.key: point.value for point in metrics}
        for pairs, place in ((params, run.data.params), (tags, run.data.tags)):
            place |= {pair.key: pair.value for pair in pairs}


def mlflow(store, uri="sqlite:///here.db"):
    module: object = ModuleType("mlflow")
    module.__dict__.update(
        store=store,
        uris=[],
        MlflowException=MlflowError,
        entities=SimpleNamespace(Metric=Point, Param=Pair, RunTag=Pair),
        get_tracking_uri=lambda: uri,
    )

    def client(tracking_uri):
        module.__dict__["uris"].append(tracking_uri)
        return MlflowClient(store)

    module.__dict__["MlflowClient"] = client
    return module


class Run:
    def __init__(self, client, arguments, run_id, step):
        self.client, self.arguments, self.id, self.step = client, arguments, run_id, step
        self.rows, self.summary, self.ended = [], {}, []

    def log(self, numbers, step):
        self.rows.append((step, numbers))

    def finish(self, exit_code=None):
        self.ended.append(exit_code)


class WandbShaped(ModuleType):
    """A client; `newest` is the run that trackio continues for a name."""

    def __init__(self, name, step=0):
        super().__init__(name)
        self.started, self.step, self.newest = [], step, None

    def Settings(self, **values):
        return values

    def init(self, **arguments):
        known = arguments.get("id")
        if self.__name__ == "trackio" and arguments.get("resume") == "allow":
            known = self.newest
        run = Run(self, arguments, known or f"new{len(self.started)}", self.step)
        self.started.append(run)
        return run

    def finish(self):
        self.started[-1].finish()
