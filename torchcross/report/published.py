"""A published protocol beside that of the page, point by point."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torchcross.report.html import prose, scroll_box
from torchcross.report.markup import Markup, element

Points = Sequence[Mapping[str, str]]
"""Each with the texts `point`, `published`, `here` and `setting`."""

_AS_PUBLISHED = "as published"


def published_points(published: Mapping[str, Points]) -> list[Markup]:
    """A heading and a table for each publication, by its name."""
    return [part for name, points in published.items() for part in _comparison(name, points)]


def _comparison(publication: str, points: Points) -> Iterator[Markup]:
    others = sum(point["here"] != _AS_PUBLISHED for point in points)
    caption = f"{len(points)} points, of which {others} are not as published"
    heads = ("point", "published", "here", "setting as published")
    table = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *(element("th", head, scope="col") for head in heads))),
        element("tbody", *map(_row, points)),
        class_="published",
    )
    yield element("h3", f"Published, and here: {publication}")
    yield scroll_box(table, caption)


def _row(point: Mapping[str, str]) -> Markup:
    is_other = point["here"] != _AS_PUBLISHED
    here = prose(point["here"])
    return element(
        "tr",
        element("th", point["point"], scope="row"),
        element("td", prose(point["published"])),
        element("td", element("strong", here) if is_other else here),
        element("td", prose(point["setting"])),
    )
