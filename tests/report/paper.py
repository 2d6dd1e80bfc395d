"""The page on paper and for assistive technology: read back from a PDF, and judged by axe-core.

`make browser` puts pypdf and the package with the script of axe-core into build/browser-tools;
neither is part of this repository, and no page holds any of it.
"""

from __future__ import annotations

import base64
import importlib
import io
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.report.devtools import Page
from torchcross.records import Records

TOOLS = Path("build/browser-tools")
SHEETS = {"A4": (8.27, 11.69), "Letter": (8.5, 11.0)}
VIEWS = {
    "light, desktop": ("light", 1280, 900),
    "dark, desktop": ("dark", 1280, 900),
    "light, phone": ("light", 390, 844),
    "dark, phone": ("dark", 390, 844),
}
OPEN_ALL = "document.querySelectorAll('details').forEach(d => { d.open = true; })"
CELLS = """
(() => {
  const table = (t) => [...t.querySelectorAll('thead th, td')].filter(c => !c.matches('.span'))
    .map(c => [...c.childNodes].map(n => n.textContent).find(t => t.trim()) ?? '');
  const sheets = [...document.querySelectorAll('#results > .sheet')];
  const first = [...document.querySelectorAll('#results .headline')].slice(0, 1);
  return (sheets.length ? sheets : first).flatMap(table).filter(Boolean);
})()
"""
LONG_HEAD = "head of every sheet"
WIDTHS = {"A4": 703, "Letter": 725}
"""Of what is printed, in pixels: the sheets without their margins."""
CUT = """
[...document.querySelectorAll('td.number, thead th')].filter(c => c.offsetHeight).flatMap(cell => {
  const longest = cell.tagName === 'TH' ? 16 : Infinity;
  const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT), cut = [];
  while (texts.nextNode()) {
    for (const word of texts.currentNode.data.matchAll(/\\S+/g)) {
      const range = document.createRange();
      range.setStart(texts.currentNode, word.index);
      range.setEnd(texts.currentNode, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].map(r => Math.round(r.top)));
      if (lines.size > 1 && word[0].length <= longest) cut.push(word[0]);
    }
  }
  return cut;
})
"""
SIDES = """
[...document.querySelectorAll('.scroll, nav ul')].filter(b => b.offsetHeight).map(b => [
  b.ariaLabel ?? b.tagName, b.scrollWidth > b.clientWidth + 1,
  b.classList.contains('more-right'), getComputedStyle(b).boxShadow !== 'none'])
"""
HEADS = """
[...document.querySelectorAll('.scroll > table:not(.headline, .confusion) thead th')]
  .map(h => h.textContent)
"""
AXE = """
axe.run().then(found => found.violations.map(
  each => [each.id, each.nodes.length, each.nodes[0].html.slice(0, 120)]))
"""


def it_prints_whole(page: Page, rows: Records) -> Iterator[str]:
    """A4 and Letter, portrait, from light and dark systems."""
    for scheme in ("light", "dark"):
        page.show_as(scheme, 1280, 900)
        expected = Counter(map(_squeeze, page.value(CELLS)))
        heads = {_squeeze(head) for head in page.value(HEADS)}
        for name, (width, height) in SHEETS.items():
            for problem in _problems_of(_printed(page, width, height), expected, heads, width):
                yield f"{name} from a {scheme} system: {problem}"
        page.print_as(scheme)
        paper = page.value("getComputedStyle(document.body).backgroundColor")
        if paper != "rgb(255, 255, 255)":
            yield f"a {scheme} system prints on {paper}"
        for name, room in WIDTHS.items():
            page.show_as(scheme, room, 900)
            page.print_as(scheme)
            if cut := page.value(CUT):
                yield f"{name}: {len(cut)} numbers and heads are cut: {cut[:5]}"
        page.show_as(scheme, 1280, 900)


def closed_sections_are_short_and_print_whole(page: Page, rows: Records) -> Iterator[str]:
    """On a screen sections of details are titles, which links open; on paper they are whole."""
    page.show_as("light", 1280, 900)
    height = "document.documentElement.scrollHeight"
    every = "document.querySelectorAll('.part')"
    page.value(f"{every}.forEach(d => {{ d.open = true; }})")
    whole = page.value(height)
    page.value(f"{every}.forEach(d => {{ d.open = false; }})")
    if (short := page.value(height)) > 0.6 * whole:
        yield f"closed sections leave {short} of {whole} pixels"
    texts = f"[...{every}].map(d => d.querySelector('h3, caption, figcaption, p').textContent)"
    printed = _squeeze("".join(each.extract_text() for each in _printed(page, 8.27, 11.69).pages))
    lost = [text for text in page.value(texts) if _squeeze(text)[:40] not in printed]
    if lost:
        yield f"{len(lost)} closed sections are not on paper: {lost[:5]}"
    if count := page.value("document.querySelectorAll('.part[open]').length"):
        yield f"{count} sections stay open after printing"
    page.value("document.querySelector('nav a[href=\"#episodes\"]').click()")
    page.value("new Promise(done => setTimeout(done, 50))")
    if not page.value("document.querySelector('#episodes > .part').open"):
        yield "a link does not open its section"


def _printed(page: Page, width: float, height: float) -> Any:
    answer = page.call(
        "Page.printToPDF", paperWidth=width, paperHeight=height, printBackground=True
    )
    return _tool("pypdf").PdfReader(io.BytesIO(base64.b64decode(answer["data"])))


def _problems_of(pdf: Any, expected: Counter[str], heads: set[str], width: float) -> Iterator[str]:
    places: list[tuple[float, str]] = []

    def note(text: str, matrix: Any, of_text: Any, font: Any, size: float) -> None:
        if text.strip():
            places.append((matrix[0] * of_text[4] + matrix[4], text))

    texts, ends = [], []
    for sheet in pdf.pages:
        texts.append(sheet.extract_text(visitor_text=note))
        ends.append(_squeeze(places[-1][1]))
    text = _squeeze("".join(texts))
    if alone := [end for end in ends if end in heads]:
        yield f"heads stand at the foot of a sheet, without their rows: {alone}"
    if _squeeze(LONG_HEAD) in heads and text.count(_squeeze(LONG_HEAD)) < 2:
        yield "a table that goes on has no head on its next sheet"
    if lost := [cell for cell, count in expected.items() if text.count(cell) < count]:
        yield f"{len(lost)} of {len(expected)} cells are not on paper: {lost[:5]}"
    if cut := [text for x, text in places if not 0 <= x <= 72 * width - 12]:
        yield f"text stands beyond the edge: {cut[:5]}"
    if "fine-tuning" in text:
        yield "the settings of the protocol are printed"


def _squeeze(text: str) -> str:
    return "".join(text.split())


def nothing_hinders_access(page: Page, rows: Records) -> Iterator[str]:
    """No violation of axe-core's rules in four views, with every fold open."""
    source = Path(_tool("axe_playwright_python").__file__).with_name("axe.min.js")
    for view, (scheme, width, height) in VIEWS.items():
        page.show_as(scheme, width, height)
        page.value(OPEN_ALL)
        page.call("Runtime.evaluate", expression=source.read_text(encoding="utf-8"))
        for rule, count, html in page.value(AXE):
            yield f"{view}: {count} violations of {rule}, the first: {html}"


def a_number_leads_to_its_episodes(page: Page, rows: Records) -> Iterator[str]:
    page.show_as("light", 1280, 900)
    page.value("document.querySelectorAll('details').forEach(d => { d.open = false; })")
    link = "document.querySelector('#results .headline td a')"
    place = page.value(f"{link}.getAttribute('href')")
    page.value(f"{link}.click()")
    page.value("new Promise(done => setTimeout(done, 50))")
    if not page.value(f"document.querySelector('{place}').open"):
        yield f"the fold {place} stays closed"


def filters_hide_and_show(page: Page, rows: Records) -> Iterator[str]:
    shown = "[...document.querySelectorAll('#results .headline')][0].innerText"
    page.show_as("light", 1280, 900)
    before = page.value(shown)
    for kind, box in enumerate(("0 input", "1 input", "2 input")):
        page.value(
            f"document.querySelectorAll('.filters fieldset')[{box[0]}]"
            ".querySelector('input').click()"
        )
        if page.value(shown) == before:
            yield f"filter {kind} hides nothing"
    page.value("document.querySelector('.filters .tool').click()")
    if page.value(shown) != before:
        yield "Show all does not show all"


def edges_say_what_goes_on(page: Page, rows: Records) -> Iterator[str]:
    """Tables and links that are wider than their place have a shadow on that side, others none."""
    for width in (360, 1280):
        page.show_as("light", width, 900)
        page.value(OPEN_ALL)
        page.value("new Promise(done => setTimeout(done, 300))")
        sides = page.value(SIDES)
        if wrong := [each for each in sides if each[1] != each[2] or each[2] != each[3]]:
            yield f"on a screen {width} wide edges do not say what goes on: {wrong[:3]}"


def a_phone_shows_whole_rows(page: Page, rows: Records) -> Iterator[str]:
    page.show_as("light", 390, 844)
    widths = page.value(
        "[...document.querySelectorAll('#results > .cards, #results .headline')]"
        ".slice(0, 2).map(t => [t.scrollWidth, t.parentElement.clientWidth])"
    )
    if any(own > room for own, room in widths):
        yield f"first tables are wider than their place: {widths}"


def _tool(name: str) -> Any:
    if str(TOOLS) not in sys.path:
        sys.path.append(str(TOOLS))
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise RuntimeError(f"{TOOLS} has no {name}; `make browser` fetches it") from error
