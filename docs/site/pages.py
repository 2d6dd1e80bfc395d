"""The files of the repository that are in the site, each at its place in the repository."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

ROOT = Path(__file__).parents[2]
FACES = (
    "README.md",
    "CONTRIBUTING.md",
    "CODE_OF_CONDUCT.md",
    "SECURITY.md",
    "SUPPORT.md",
    "CHANGELOG.md",
    "benchmarks/README.md",
)
_LINK = re.compile(r"(?P<start>\]\()(?P<target>[^)\s#]+)(?P<rest>[)#\s])")
_TITLE = re.compile(r"^# +(.+)$", re.MULTILINE)


def page_paths(root: Path = ROOT) -> list[str]:
    """Return the pages, from the root with slashes."""
    below = [path.relative_to(root).as_posix() for path in sorted(root.glob("docs/**/*.md"))]
    return [*(name for name in FACES if (root / name).exists()), *below]


def linked_files(page: str, root: Path = ROOT) -> tuple[set[str], set[str]]:
    """Return the files and the folders that a page links to, besides pages."""
    files, folders = set(), set()
    for link in _LINK.finditer((root / page).read_text(encoding="utf-8")):
        target = link["target"]
        path = (root / page).parent / unquote(target)
        if ":" in target or target.endswith(".md") or not path.exists():
            continue
        name = path.resolve().relative_to(root).as_posix()
        (folders if path.is_dir() else files).add(name)
    return files, folders


def folder_links_to_pages(text: str, page: str, root: Path = ROOT) -> str:
    """Return the text with links to folders pointing at the pages that list them."""

    def replaced(link: re.Match[str]) -> str:
        path = (root / page).parent / unquote(link["target"])
        if ":" in link["target"] or not path.is_dir():
            return link[0]
        return f"{link['start']}{link['target'].rstrip('/')}/README.md{link['rest']}"

    return _LINK.sub(replaced, text)


def folder_page(folder: str, root: Path = ROOT) -> tuple[str, list[str]]:
    """Return a page that lists a folder without a README, and the files that it links to."""
    files = [path for path in sorted((root / folder).iterdir()) if path.is_file()]
    names = [path.name for path in files if not path.name.startswith("__")]
    lines = [f"# {folder}", "", *(f"- [{name}]({name})" for name in names)]
    return "\n".join(lines) + "\n", [f"{folder}/{name}" for name in names]


def title_of(text: str, otherwise: str) -> str:
    title = _TITLE.search(text)
    return title[1] if title else otherwise
