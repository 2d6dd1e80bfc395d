"""Work in threads: results in order, few items ahead, and nothing left running after an error."""

import threading

import pytest

from torchcross._kit.threads import results_in_order


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(threads):
    assert list(results_in_order(range(50), lambda item: item**2, threads)) == [
        item**2 for item in range(50)
    ]


@pytest.mark.parametrize("threads", [1, 3])
def test_only_a_few_items_are_taken_ahead_of_the_results(threads):
    items = iter(range(100))
    results = results_in_order(items, lambda item: item, threads)
    assert next(results) == 0
    assert next(items) <= 2 * threads


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_reaches_the_caller_and_waiting_work_is_cancelled(threads):
    done = []

    def work(item):
        if item == 0:
            raise ValueError("item 0")
        done.append(item)

    with pytest.raises(ValueError, match="item 0"):
        list(results_in_order(range(1000), work, threads))
    assert len(done) <= 2 * threads


def test_a_caller_who_stops_early_leaves_no_thread_behind():
    before = threading.active_count()
    results = results_in_order(range(1000), lambda item: item, 4)
    next(results)
    results.close()
    assert threading.active_count() == before
