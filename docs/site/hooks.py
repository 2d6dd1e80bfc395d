"""Hooks of mkdocs: they build the list of pages, and refuse a site that needs another host."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files, InclusionLevel

from docs.site.pages import ROOT, folder_links_to_pages, folder_page, linked_files, page_paths
from docs.site.reference import reference_pages
from docs.site.tutorials import FOLDER, LIMIT, TutorialError, run_tutorial
from docs.site.uses import pages_that_use
from tests.repository.markdown import anchor_of

_LOG = logging.getLogger("mkdocs.hooks.tutorials")
_NAV_OF_REFERENCE = "reference/"
# Links of `a` lead elsewhere and load nothing.
_LOADED = re.compile(
    r"""<(?:script|link|img|iframe|source|video)\b[^>]*?(?:src|href)=["'](?:https?:)?//""",
    re.IGNORECASE,
)
_LOADED_BY_STYLE = re.compile(r"""(?:@import\s*["']|url\(\s*["']?)(?:https?:)?//""", re.IGNORECASE)


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give headings the anchors that the repository's host gives them, and list the reference."""
    config.mdx_configs["toc"] = {**config.mdx_configs.get("toc", {}), "slugify": _slug}
    reference = reference_pages(pages_that_use())
    config.extra["reference_pages"] = reference
    _replace_in_nav(config.nav, [{page.title: page.path} for page in reference])
    return config


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    wanted, folders = set(), set()
    for page in page_paths():
        linked, linked_folders = linked_files(page)
        wanted |= linked
        folders |= linked_folders
        _add(files, config, page)
    for folder in sorted(folders):
        if not (ROOT / folder / "README.md").exists():
            text, names = folder_page(folder)
            wanted.update(names)
            listing = File.generated(
                config, f"{folder}/README.md", content=text, inclusion=InclusionLevel.NOT_IN_NAV
            )
            files.append(listing)
    for name in sorted(wanted):
        _add(files, config, name)
    for page in config.extra.pop("reference_pages"):
        files.append(File.generated(config, page.path, content=page.text))
    # While you write other pages: the tutorials as they are, without what they show.
    if os.environ.get("TUTORIALS") != "skip":
        _run_tutorials(files, config)
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    return folder_links_to_pages(markdown, page.file.src_uri)


def on_post_build(*, config: MkDocsConfig) -> None:
    """Refuse a site with a page or a style that loads something from another host."""
    loading = [
        path.relative_to(config.site_dir).as_posix()
        for path in sorted(Path(config.site_dir).rglob("*"))
        if path.suffix in (".html", ".css") and _loads_from_elsewhere(path)
    ]
    if loading:
        raise PluginError(f"pages that load something from another host: {', '.join(loading)}")


def _run_tutorials(files: Files, config: MkDocsConfig) -> None:
    """Replace each tutorial by what it shows when it is run, and add its notebook and pictures."""
    for page in [name for name in page_paths() if name.startswith(f"{FOLDER}/")]:
        name = Path(page).stem
        if name == "README":
            continue
        try:
            tutorial = run_tutorial(name)
        except TutorialError as error:
            raise PluginError(str(error)) from error
        _LOG.info("tutorial %s: %.0f s of one core", name, tutorial.seconds)
        if tutorial.seconds > LIMIT:
            raise PluginError(f"{page} takes {tutorial.seconds:.0f} s; {LIMIT:.0f} s is the limit")
        files.remove(files.src_uris[page])
        files.append(File.generated(config, page, content=tutorial.text))
        notebook = File.generated(config, f"{FOLDER}/{name}.ipynb", content=tutorial.notebook)
        files.append(notebook)
        for picture, content in tutorial.pictures.items():
            files.append(File.generated(config, f"{FOLDER}/{picture}", content=content))


def _slug(title: str, separator: str) -> str:
    return anchor_of(title.strip())


def _loads_from_elsewhere(path: Path) -> bool:
    text = path.read_text(encoding="utf-8")
    pattern = _LOADED if path.suffix == ".html" else _LOADED_BY_STYLE
    return any('rel="canonical"' not in found[0] for found in pattern.finditer(text))


def _add(files: Files, config: MkDocsConfig, name: str) -> None:
    if files.get_file_from_path(name) is None:
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))


def _replace_in_nav(nav: Any, entries: list[dict[str, str]]) -> None:
    for item in nav:
        for title, value in item.items() if isinstance(item, dict) else ():
            if value == _NAV_OF_REFERENCE:
                item[title] = entries
            elif isinstance(value, list):
                _replace_in_nav(value, entries)
