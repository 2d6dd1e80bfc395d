"""The report in a real browser: what only one can tell. Screenshots for a person to look at are
left in a folder.

python -m tests.report.browser [folder]        the default is build/report

Exit status: 0 all is well, 1 something is not, 2 there is no browser on PATH.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

from tests.records.published_table import NAMES as NAMES_OF_ROWS
from tests.records.published_table import ROWS
from tests.report.devtools import NAMES, Page, found_browser, opened
from tests.report.paper import (
    LONG_HEAD,
    a_number_leads_to_its_episodes,
    a_phone_shows_whole_rows,
    closed_sections_are_short_and_print_whole,
    edges_say_what_goes_on,
    filters_hide_and_show,
    it_prints_whole,
    nothing_hinders_access,
)
from tests.report.sample import HOSTILE, answers, curves, example, labels_example, records
from tests.transfer.cats_scans_page import write_cats_scans
from tests.transfer.sample_page import write_many_sources
from torchcross.records import Means, Records, read_records
from torchcross.report import Curve, Failure, write_report
from torchcross.report.html import TableCell, TableColumn
from torchcross.report.inputs import PageTable

SIZES = {"light": ("light", 1280, 900), "dark": ("dark", 1280, 900), "phone": ("light", 390, 844)}
HEADLINE = "document.querySelector('table.headline')"
NUMBERS = (
    f"[...{HEADLINE}.tBodies].flatMap(b => [...b.rows]).map(r =>"
    " r.cells[1]?.dataset.value).filter(v => v)"
)
NAMES_SHOWN = (
    f"[...{HEADLINE}.tBodies].flatMap(b => [...b.rows]).filter(r => r.offsetHeight).map(r =>"
    " r.cells[0].innerText)"
)
ROWS_SHOWN = (
    f"[...{HEADLINE}.tBodies].flatMap(b => [...b.rows]).filter(r =>"
    " !r.classList.contains('group')).length"
)
LABELS_COVERED = """
[...document.querySelectorAll('figure svg')].flatMap(svg => {
  const frame = svg.getBoundingClientRect();
  const texts = [...svg.querySelectorAll('text')]
    .map(t => [t.firstChild?.data, t.getBoundingClientRect()]);
  const over = (a, b) => Math.min(Math.min(a.right, b.right) - Math.max(a.left, b.left),
                                  Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top));
  const cut = texts.filter(([, a]) => a.left < frame.left - 1 || a.right > frame.right + 1);
  const met = texts.flatMap(([one, a], i) => texts.slice(i + 1)
    .filter(([, b]) => over(a, b) > 2.5).map(([other]) => `${one} / ${other}`));
  return [...cut.map(([name]) => `cut: ${name}`), ...met];
})
"""
PLAIN = HOSTILE.split("\x00")[0]


def nothing_is_said(page: Page, rows: Records) -> Iterator[str]:
    yield from (f"the console has: {line}" for line in page.said)
    if page.value("'hacked' in window"):
        yield "a name in the rows ran as a script"
    foreign = [
        address[:80]
        for address in page.asked
        if not address.startswith(("file:", "data:", "blob:"))
    ]
    if foreign or sum(address.startswith("file:") for address in page.asked) != 1:
        yield f"the page asked for more than itself: {page.asked}"


def pictures_are_there(page: Page, rows: Records) -> Iterator[str]:
    page.value("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    blank = page.value("[...document.images].filter(i => !i.complete || !i.naturalWidth).length")
    count = page.value("document.images.length")
    if blank or not count:
        yield f"{blank} of {count} images are not shown"
    plots = page.value(
        "[...document.querySelectorAll('figure svg')].map(s => s.getBoundingClientRect().height)"
    )
    if len(plots) < 20 or min(plots) < 50:
        yield f"plots have the heights {plots}"


def tables_sort(page: Page, rows: Records) -> Iterator[str]:
    before = page.value(NUMBERS)
    names = page.value(NAMES_SHOWN)
    button = f"{HEADLINE}.querySelectorAll('th[data-column=\"1\"] button')[0]"
    page.value(f"{button}.click()")
    if (found := page.value(NUMBERS)) != sorted(before, key=float, reverse=True):
        yield f"a click sorts to {found}"
    if page.value(f"{HEADLINE}.querySelector('th[data-column=\"1\"]').ariaSort") != "descending":
        yield "a screen reader is not told the order"
    if len(page.value(NAMES_SHOWN)) != page.value(ROWS_SHOWN):
        yield "a sorted table still shows its domains as rows"
    page.value(f"{button}.focus()")
    page.press("Enter", 13)
    if (found := page.value(NUMBERS)) != sorted(before, key=float):
        yield f"the Enter key sorts to {found}"
    page.press(" ", 32)
    if (page.value(NUMBERS), page.value(NAMES_SHOWN)) != (before, names):
        yield "the third order is not the one of the beginning"


def themes_switch(page: Page, rows: Records) -> Iterator[str]:
    paper = "getComputedStyle(document.body).backgroundColor"
    seen = {}
    for scheme in ("light", "dark"):
        page.show_as(scheme, 1280, 900)
        for choice in ("light", "dark", "auto"):
            page.value(f"document.querySelector('input[value={choice}]').click()")
            seen[scheme, choice] = page.value(paper)
    if seen["light", "auto"] == seen["dark", "auto"]:
        yield "the page does not follow the preferred colour scheme"
    for choice in ("light", "dark"):
        if {seen[scheme, choice] for scheme in ("light", "dark")} != {seen[choice, "auto"]}:
            yield f"the switch to {choice} gives {seen}"


def it_fits_a_phone(page: Page, rows: Records) -> Iterator[str]:
    page.show_as("light", 360, 740)
    width = page.value("document.documentElement.scrollWidth")
    if width > 360:
        yield f"on a screen 360 wide the page is {width} wide"


def rows_download(page: Page, rows: Records) -> Iterator[str]:
    with TemporaryDirectory() as folder:
        page.call("Page.setDownloadBehavior", behavior="allow", downloadPath=folder)
        page.value("document.getElementById('rows').click()")
        saved = Path(folder) / "rows.csv"
        end = monotonic() + 60
        while not saved.exists() and monotonic() < end:
            page.value("0")
            sleep(0.1)
        if not saved.exists() or read_records(saved) != rows:
            yield "the downloaded rows are not those of the report"


def labels_stand_apart(page: Page, rows: Records) -> Iterator[str]:
    """Names in plots cover neither each other nor the edge of their plot."""
    page.value("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    covered = page.value(LABELS_COVERED)
    if covered:
        yield f"{len(covered)} labels of plots cover others or are cut: {covered[:5]}"


ON_PAPER_AND_ALOUD = (it_prints_whole, nothing_hinders_access)
CHECKS: tuple[Callable[[Page, Records], Iterator[str]], ...] = (
    pictures_are_there,
    tables_sort,
    themes_switch,
    it_fits_a_phone,
    rows_download,
    closed_sections_are_short_and_print_whole,
    a_number_leads_to_its_episodes,
    filters_hide_and_show,
    a_phone_shows_whole_rows,
    edges_say_what_goes_on,
    *ON_PAPER_AND_ALOUD,
    nothing_is_said,
)


def write_sample(path: Path, hostile: bool) -> Records:
    """A report with everything in it; `hostile` puts markup and worse wherever a name can stand."""
    rows = records()
    name = PLAIN if hostile else "mm-pt"
    if hostile:
        columns = rows.columns
        named = {
            field: [PLAIN + value for value in columns[field]]
            for field in ("target", "domain", "algorithm")
        }
        rows = Records({**columns, **named})
    protocol = {"preset": name, "fine-tuning": {name: [1, 2], "steps": 50}}
    failures = [
        Failure(f"the loss is not finite: {name}", kind=name, target=name, algorithm=name, shots=5)
    ]
    examples = [example([name, "square", "star"]), labels_example()]
    shown = [*curves(), Curve(name, name, [1, 2], [0.1, float("nan")], name)]
    datasets = {
        "a dataset": {"domain": "a domain with a long name", "licence": "CC-BY-4.0", "images": 1234}
    }
    provenance = {name: name, "data": {"datasets": datasets}}
    heads = [TableColumn(LONG_HEAD), TableColumn("number", is_number=True)]
    cells: list[list[TableCell | str]] = [[name, TableCell("1", 1.0)]] * 90
    long = PageTable("long", "Long", "A long table", [], heads, cells)
    texts: dict[str, Any] = {
        "tables": [long],
        "margin": 0.01,
        "title": f"Leave one domain out: {name}",
        "protocol": protocol,
        "provenance": provenance,
        "answers": answers(rows),
    }
    write_report(rows, path, curves=shown, examples=examples, failures=failures, **texts)
    return rows


def write_means(path: Path) -> Records:
    """A published table, by domain; it has no rows."""
    domains = [f"domain {place // 3}" for place in range(len(ROWS))]
    means = Means(
        ROWS, NAMES_OF_ROWS, [f"target {place}" for place in range(len(ROWS))], domains=domains
    )
    write_report(means, path, title="A published table", protocol={}, provenance={})
    return Records.of([])


def write_study(path: Path) -> Records:
    """A published study of sources and targets; it has no rows."""
    write_cats_scans(path.parent).replace(path)
    return Records.of([])


STUDY_CHECKS = (labels_stand_apart, themes_switch, it_fits_a_phone, nothing_is_said)
PAGES: dict[
    str, tuple[Callable[[Path], Records], tuple[Callable[[Page, Records], Iterator[str]], ...]]
] = {
    "plain": (lambda path: write_sample(path, hostile=False), CHECKS),
    "hostile": (lambda path: write_sample(path, hostile=True), CHECKS),
    "means": (
        write_means,
        (tables_sort, *ON_PAPER_AND_ALOUD, themes_switch, it_fits_a_phone, nothing_is_said),
    ),
    "study": (write_study, STUDY_CHECKS),
    "hostile-study": (
        lambda path: write_many_sources(path, PLAIN),
        (labels_stand_apart, themes_switch, it_fits_a_phone, nothing_is_said),
    ),
    "large-study": (
        lambda path: write_many_sources(path, ""),
        (labels_stand_apart, it_fits_a_phone, nothing_is_said),
    ),
}


def main(arguments: list[str]) -> int:
    folder = Path(arguments[0] if arguments else "build/report")
    browser = found_browser()
    if browser is None:
        print(
            f"none of {', '.join(NAMES)} is on PATH; install Chromium (Debian: apt install"
            " chromium)",
            file=sys.stderr,
        )
        return 2
    folder.mkdir(parents=True, exist_ok=True)
    problems = []
    with opened(browser) as page:
        for kind, (write, checks) in PAGES.items():
            path = folder / f"{kind}.html"
            rows = write(path)
            page.said.clear()
            page.asked.clear()
            page.open(path)
            problems += [
                f"{kind}: {check.__name__}: {problem}"
                for check in checks
                for problem in check(page, rows)
            ]
            for name, (scheme, width, height) in SIZES.items():
                page.show_as(scheme, width, height)
                page.open(path)
                page.screenshot(folder / f"{kind}-{name}.png", whole=True)
    for problem in problems:
        print(problem, file=sys.stderr)
    print(
        f"{len(CHECKS)} checks of {len(PAGES)} pages, {len(problems)} problems; look at the"
        f" screenshots in {folder}"
    )
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
