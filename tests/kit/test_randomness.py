"""Random words are Philox's, bounded integers and shuffles are exact and uniform, and nothing is
shared or global.
"""

from __future__ import annotations

import itertools
import math
import pickle
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.data.chance import UNLIKELY, chi_square
from torchcross._kit.randomness import (
    Stream,
    _philox,
    below,
    below_array,
    distinct,
    distinct_rows,
    permutation,
)
from torchcross.data.sampling.shuffle import Deck, any_order, choose

ONES = 2**64 - 1
words64 = st.integers(0, ONES)


# -- the generator ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "counter", "expected"),
    [
        # Known answers of Random123 for philox4x64-10. numpy counts up before it draws, hence the
        # counter before.
        (
            (0, 0),
            (ONES, ONES, ONES, ONES),
            [0x16554D9ECA36314C, 0xDB20FE9D672D0FDC, 0xD7E772CEE186176B, 0x7E68B68AEC7BA23B],
        ),
        (
            (ONES, ONES),
            (ONES - 1, ONES, ONES, ONES),
            [0x87B092C3013FE90B, 0x438C3C67BE8D0224, 0x9CC7D7C69CD777B6, 0xA09CAEBF594F0BA0],
        ),
        (
            (0x452821E638D01377, 0xBE5466CF34E90C6C),
            (0x243F6A8885A308D3 - 1, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89),
            [0xA528F45403E61D95, 0x38C72DBD566E9788, 0xA5A1610E72FD18B5, 0x57BD43B5E52B7FE6],
        ),
    ],
)
def test_known_answers(key, counter, expected):
    assert _philox(key, counter, 4).tolist() == expected


def philox_by_hand(key, counter):
    """Philox-4x64-10 as in Salmon et al. 2011, one block, in plain integers."""
    (k0, k1), (c0, c1, c2, c3) = key, counter
    for _ in range(10):
        p0, p1 = 0xD2E7470EE14C6C93 * c0, 0xCA5A826395121157 * c2
        c0, c1, c2, c3 = (p1 >> 64) ^ c1 ^ k0, p1 & ONES, (p0 >> 64) ^ c3 ^ k1, p0 & ONES
        k0, k1 = (k0 + 0x9E3779B97F4A7C15) & ONES, (k1 + 0xBB67AE8584CAA73B) & ONES
    return [c0, c1, c2, c3]


@given(st.tuples(words64, words64), st.integers(0, 2**256 - 1), st.integers(0, 13))
@example((1, 2), 2**64 - 1, 9)  # the counter carries
@example((1, 2), 2**256 - 1, 5)  # and wraps around
def test_words_are_those_of_the_paper(key, start, count):
    def parts(number):
        return tuple(number >> 64 * place & ONES for place in range(4))

    blocks = [philox_by_hand(key, parts((start + step) % 2**256)) for step in range(1, 5)]
    assert _philox(key, parts(start), count).tolist() == list(itertools.chain(*blocks))[:count]


@given(st.integers(0, 2**70), st.integers(1, 9), st.integers(1, 9))
@example(2**64 - 3, 2, 5)
@example(2**64 - 3, 4, 5)
def test_a_window_is_a_part_of_one_endless_row(start, blocks, more):
    stream = Stream(3, "row")
    row = stream.window(start, 4 * (blocks + more))
    assert stream.window(start + blocks, 4 * more).tolist() == row[4 * blocks :].tolist()


@given(st.integers(0, 2**63 - 1), st.integers(0, 100))
def test_words_of_different_kinds_have_nothing_in_common(index, attempt):
    stream = Stream(0, "kinds")
    found = [
        stream.window(index, 8),
        stream.window(index + 2, 8),
        stream.sequence(index, 8),
        stream.sequence(index + 1, 8),
        stream.words(index, attempt).bulk(8),
        stream.words(index, attempt + 1).bulk(8),
        stream.words(index + 1, attempt).bulk(8),
    ]
    assert len(set(np.concatenate(found).tolist())) == 8 * len(found)


def test_words_come_one_by_one_or_in_bulk_and_never_twice():
    stream = Stream(1, "a")
    words = stream.words(5, 2)
    found = (
        [words.take() for _ in range(3)]
        + words.bulk(7).tolist()
        + [words.take() for _ in range(300)]
    )
    assert len(set(found)) == len(found)
    again = stream.words(5, 2)
    assert [again.take() for _ in range(3)] == found[:3]
    assert stream.words(5, 2).bulk(3).tolist() == found[:3]
    assert words.below(1) == 0


def test_names_and_seeds_tell_streams_apart():
    names = [
        (0,),
        (1,),
        (0, "a"),
        (0, "b"),
        (0, "a", "b"),
        (0, "ab"),
        (0, ["a", "b"]),
        (0, 1),
        (0, "1"),
        (0, None),
    ]
    streams = [Stream(*name) for name in names]
    assert len({stream.window(0, 1).item() for stream in streams}) == len(names)
    assert len(set(streams)) == len(names)
    assert Stream(0, "a").substream("b") == Stream(0, "a", "b")
    assert Stream(0, "a") != "a"
    assert pickle.loads(pickle.dumps(streams[4])).substream(1) == streams[4].substream(1)


def test_a_stream_is_the_same_for_ever():
    assert Stream(0, "plan", "Grüße", 5).window(0, 2).tolist() == [
        0xCF6DCD51B93742FD,
        0x747D0876A994A4AA,
    ]


def draw_many(seed):
    stream = Stream(seed, "threads")
    return [[*stream.window(n, 9).tolist(), stream.words(n).take()] for n in range(400)]


def test_threads_do_not_disturb_each_other():
    alone = {seed: draw_many(seed) for seed in range(4)}
    with ThreadPoolExecutor(4) as threads:
        for _ in range(3):
            assert dict(zip(alone, threads.map(draw_many, alone), strict=True)) == alone


@pytest.mark.long
def test_a_spawned_process_draws_the_same():
    with get_context("spawn").Pool(1) as pool:
        assert pool.apply(draw_many, (7,)) == draw_many(7)


@pytest.mark.slow
def test_hash_seeds_do_not_matter():
    program = (
        "from torchcross._kit.randomness import Stream; print(Stream(4, 'x', (1, None)).window(3,"
        " 2).tolist())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert found == {f"{Stream(4, 'x', (1, None)).window(3, 2).tolist()}\n"}


# -- bounded integers ------------------------------------------------------------------------------


@given(words64, st.integers(1, 2**32 - 1))
@example(ONES, 2**32 - 1)
@example(ONES, 1)
@example(0, 2**32 - 1)
@example((1 << 63) - 1, 2)
@example(1 << 63, 2)
def test_below_is_the_high_half_of_a_product(word, bound):
    assert below(word, bound) == word * bound // 2**64
    assert 0 <= below(word, bound) < bound
    found = below_array(np.array([word], dtype=np.uint64), np.array([bound], dtype=np.uint64))
    assert found.dtype == np.int64
    assert found.tolist() == [below(word, bound)]


@given(st.integers(1, 2**32 - 1))
def test_below_splits_the_words_evenly(bound):
    """The smallest and largest word of each value: no value has a word more than another."""
    for value in {0, bound // 2, bound - 1}:
        first, last = -(-(value << 64) // bound), -(-((value + 1) << 64) // bound) - 1
        assert below(first, bound) == below(last, bound) == value
        both = below_array(
            np.array([first, last], dtype=np.uint64), np.array([bound, bound], dtype=np.uint64)
        )
        assert both.tolist() == [value, value]
        assert last - first + 1 in (2**64 // bound, 2**64 // bound + 1)


# -- shuffles --------------------------------------------------------------------------------------


def fisher_yates(words, population):
    items = list(range(population))
    for step, word in enumerate(words):
        pick = step + below(word, population - step)
        items[step], items[pick] = items[pick], items[step]
    return items[: len(words)]


@given(st.data(), st.integers(1, 40))
def test_distinct_is_the_start_of_a_shuffle(data, population):
    words = data.draw(st.lists(words64, max_size=population))
    assert distinct(words, population) == fisher_yates(words, population)


@given(st.integers(1, 6), st.integers(0, 8), st.integers(0, 999), st.data())
def test_distinct_rows_are_distinct_row_by_row(rows, count, seed, data):
    populations = data.draw(st.lists(st.integers(max(count, 1), 60), min_size=rows, max_size=rows))
    words = Stream(seed, "rows").window(0, rows * count).reshape(rows, count)
    found = distinct_rows(words, np.array(populations))
    expected = [
        distinct(row.tolist(), population)
        for row, population in zip(words, populations, strict=True)
    ]
    assert found.tolist() == expected


@pytest.mark.parametrize("population", [50, 5_000, 100_000])
def test_distinct_rows_agree_where_collisions_are_common_and_rare(population):
    words = Stream(1, "rows").window(0, 200 * 40).reshape(200, 40)
    found = distinct_rows(words, np.full(200, population))
    assert found.tolist() == [distinct(row.tolist(), population) for row in words]
    assert all(len(set(row)) == 40 for row in found.tolist())


def draws_of(count, population, draws=24_000):
    """The same draw done by each of the ways there are."""
    stream = Stream(11, "uniform", count, population)
    words = stream.window(0, draws * count).reshape(draws, count)
    members = np.arange(population)
    half = population // 2

    def deck(number):
        cards = Deck(stream.words(number), None, members[:half], members[half:])
        return tuple(cards.draw() for _ in range(count))

    return {
        "distinct": Counter(tuple(distinct(row.tolist(), population)) for row in words),
        "distinct_rows": Counter(
            map(tuple, distinct_rows(words, np.full(draws, population)).tolist())
        ),
        "deck": Counter(deck(number) for number in range(draws // 4)),
        "any_order": Counter(
            tuple(any_order(stream.words(n), population)[:count]) for n in range(draws // 4)
        ),
        "permutation": Counter(
            tuple(permutation(stream, n, population)[:count].tolist()) for n in range(draws // 4)
        ),
    }


@pytest.mark.parametrize(("count", "population"), [(4, 4), (3, 5), (2, 9), (1, 7)])
def test_every_arrangement_is_as_likely_as_any_other(count, population):
    arrangements = math.perm(population, count)
    for how, found in draws_of(count, population).items():
        assert len(found) == arrangements, how
        assert chi_square(list(found.values())) > UNLIKELY, how


@pytest.mark.parametrize(("items", "count"), [("abcde", 2), ("abcd", 3)])
def test_choices_of_classes_are_uniform_and_ascending(items, count):
    stream = Stream(2, "choose")
    found = Counter(choose(stream.words(n), items, count) for n in range(6_000))
    assert set(found) == set(itertools.combinations(items, count))
    assert chi_square(list(found.values())) > UNLIKELY


@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(0, 999))
def test_a_deck_deals_every_card_once_and_no_used_one(used, seed):
    used = np.array(used)
    cards = np.arange(len(used))
    deck = Deck(Stream(seed, "deck").words(0), used, cards[::2], cards[1::2])
    dealt = []
    while (card := deck.draw_with_list()) is not None:
        sample, place = card
        assert sample in (cards[::2], cards[1::2])[place]
        dealt.append(sample)
    assert sorted(dealt) == np.flatnonzero(~used).tolist()
    assert deck.draw() is None
