"""A small version of `benchmarks.scale`: many workers on a virtual clock, and the real jobs."""

import collections
from concurrent.futures import ThreadPoolExecutor

import pytest

from benchmarks.scale.__main__ import Effort, scaling
from benchmarks.scale.overhead import Empty, coordination
from benchmarks.scale.simulation import Cluster, Recorded, simulate
from benchmarks.scale.world import World
from torchcross.jobs import ExecutorEngine, JobEngine, JobFolder, run_job

SECONDS = {"training": [20.0, 30.0], "part": [5.0, 10.0, 15.0]}


def job(units=200):
    return Recorded(SECONDS, units, 19, 10.0)


@pytest.mark.slow
@pytest.mark.parametrize("coordinators", [1, 3])
def test_every_unit_is_made_once_and_again_only_after_a_death(coordinators):
    found = simulate(job(), Cluster(8, coordinators, deaths=0.1))
    assert [(each.done, each.failures) for each in found.results] == [(200, ())] * coordinators
    deaths = sum(found.deaths.values())
    assert deaths > 4
    assert found.repeated == []
    assert sum(found.runs.values()) == 200 + deaths
    assert found.left_behind == []
    assert 0.8 < found.efficiency < 1.0


@pytest.mark.slow
def test_a_simulation_repeats():
    once, again = (simulate(job(), Cluster(8, 2, deaths=0.05)) for _ in range(2))
    assert once.makespan == again.makespan
    assert once.operations == again.operations
    assert once.runs == again.runs


def test_a_worker_that_nothing_disturbs_wastes_no_time():
    cluster = Cluster(1, deaths=0.0, operation=0.0, dispatch=0.0)
    assert simulate(job(40), cluster).efficiency == pytest.approx(1.0)


def test_the_owner_on_another_machine_is_dead_after_the_lease():
    """One unit, and the only death; another machine takes over."""
    lonely = Recorded(SECONDS, 1, 19, 10.0)
    cluster = Cluster(2, deaths=1.0, restart=1000.0, operation=0.0, dispatch=0.0, cores=1)
    found = simulate(lonely, cluster)
    (result,) = found.results
    assert result.failures[0].kind == "WorkerDeath", "all three attempts have died"
    assert sum(found.deaths.values()) == 3
    assert found.makespan > 2 * cluster.lease


@pytest.mark.slow
def test_a_unit_costs_the_same_operations_in_a_large_job():
    """No look at a unit may read what belongs to the others."""
    small, large = (
        simulate(job(units), Cluster(8, deaths=0.0)).operations.total() / units
        for units in (100, 400)
    )
    assert large < 1.05 * small
    assert large < 32


def test_calls_to_units_of_others_are_few():
    found = simulate(job(), Cluster(8, 4, deaths=0.0))
    assert found.submissions < 1.4 * 200


def test_an_engine_that_does_nothing_leaves_the_coordinators_own_time():
    assert coordination(200, slots=7) != 0.0


def test_one_failure_is_read_where_many_units_have_failed(tmp_path, monkeypatch):
    read = collections.Counter()
    listing = JobFolder.failures
    monkeypatch.setattr(
        JobFolder, "failures", lambda folder: read.update(["all"]) or listing(folder)
    )

    class Failing(Empty):
        def run(self, key, folder):
            raise ValueError(key)

    engine: JobEngine = ExecutorEngine(ThreadPoolExecutor(2), slots=2)
    result = run_job(Failing(40, 1), tmp_path, engine)
    assert len(result.failures) == 40
    assert read["all"] == 1


def test_tables_are_printed(capsys):
    (found,) = scaling(Effort(1, 1, 40, [(4, 2)]), True)
    assert found["workers"] == 4
    assert "efficiency" in capsys.readouterr().out


def test_actors_take_turns_in_the_order_of_the_clock():
    world, seen = World(), []

    def live(name, naps):
        for nap in naps:
            world.sleep(nap)
            seen.append((world.now, name))

    sleeper = world.start("sleeper", lambda: live("sleeper", [100.0]))
    world.start("a", lambda: live("a", [1.0, 3.0]))
    world.start("b", lambda: live("b", [2.0, 2.0]))
    world.at(3.0, lambda: world.wake(sleeper))
    world.run()
    assert seen == [(1.0, "a"), (2.0, "b"), (3.0, "sleeper"), (4.0, "a"), (4.0, "b")]


def test_an_actor_that_dies_does_nothing_more_and_one_that_fails_is_heard_of():
    world, seen = World(), []

    def die():
        with world.repeat(lambda: seen.append(world.now), 1.0):
            world.sleep(2.5)
            world.die()
        seen.append("alive")

    def fail():
        world.sleep(10.0)
        raise ValueError("it failed")

    world.start("dying", die)
    world.start("failing", fail)
    with pytest.raises(ValueError, match="it failed"):
        world.run()
    assert seen == [1.0, 2.0]
