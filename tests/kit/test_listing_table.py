"""Listings: no word is broken where there is room."""

import io

from rich.console import Console
from rich.text import Text

from torchcross._kit.listing_table import keep_words_whole, listing_table

WORDS = ("ultrasound", "morphological", "class")


def listing():
    table = listing_table("", "domain", "task", "images", right=("images",))
    table.add_row("Breast ultrasound", Text("morphological [class]"), "1,234")
    return table


def shown(table, width):
    screen = io.StringIO()
    Console(file=screen, width=width, color_system=None).print(table)
    return screen.getvalue()


def test_words_stay_whole_where_all_longest_ones_fit():
    needed = sum(map(len, ("ultrasound", "morphological", "images"))) + 4
    for width in range(needed, needed + 30):
        table = listing()
        assert keep_words_whole(table, width)
        text = shown(table, width)
        assert all(word in text for word in WORDS), (width, text)
        assert max(map(len, text.splitlines())) <= width


def test_a_listing_without_room_stays_as_it_was():
    table = listing()
    assert not keep_words_whole(table, 32)
    assert shown(table, 32) == shown(listing(), 32)
