"""The frame around the sections: head, content policy, title, links, switch of colours."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.resources import files
from typing import NamedTuple

from torchcross.report.html import section
from torchcross.report.markup import Markup, element


class PageSection(NamedTuple):
    """A section, and its name in the list of links."""

    identifier: str
    link: str
    content: Markup


def page_section(identifier: str, link: str, title: str, *content: str) -> PageSection:
    return PageSection(identifier, link, section(identifier, title, *content))


def folded_section(identifier: str, link: str, title: str, *content: str) -> PageSection:
    """One of details: a screen shows its title, and the rest when it is opened or linked to."""
    return PageSection(identifier, link, section(identifier, title, *content, is_folded=True))


def page_text(title: str, facts: Mapping[str, object], sections: Sequence[PageSection]) -> str:
    """The text of the file."""
    style, script = _asset("report.css"), _asset("report.js")
    # Nothing is fetched and only this script runs, even if a name in the rows holds another one.
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src"
        f" '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=policy),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("link", rel="icon", href="data:,"),
        element("title", title),
        element("style", style),
    )
    links = (
        element("li", element("a", each.link, href=f"#{each.identifier}")) for each in sections
    )
    body = element(
        "body",
        element("header", element("div", element("h1", title), _facts(facts)), _colour_switch()),
        element("nav", element("ul", *links), aria_label="Sections"),
        element("main", *(each.content for each in sections)),
        element("p", "", id="status", class_="hidden", role="status"),
        element("script", script),
    )
    return f"<!DOCTYPE html>\n{element('html', head, body, lang='en')}\n"


def _facts(facts: Mapping[str, object]) -> Markup:
    pairs = (
        element("div", element("dt", name), element("dd", str(fact)))
        for name, fact in facts.items()
    )
    return element("dl", *pairs, class_="facts")


def _colour_switch() -> Markup:
    choices = (
        element(
            "label",
            element("input", type="radio", name="theme", value=value, checked=value == "auto"),
            element("span", name),
        )
        for value, name in (("auto", "Auto"), ("light", "Light"), ("dark", "Dark"))
    )
    return element(
        "fieldset", element("legend", "Colours", class_="hidden"), *choices, class_="themes"
    )


def _asset(name: str) -> Markup:
    return Markup(files("torchcross.report").joinpath("assets", name).read_text(encoding="utf-8"))


def _digest(text: str) -> str:
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode("ascii")
