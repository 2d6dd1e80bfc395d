"""The pages of the reference: one for each public room, and the names that it exports."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from types import ModuleType

from docs.site.uses import name_of
from tests.repository.public_surface import public_modules

PACKAGES = ("torchcross", "medimeta_adapter")


@dataclass(frozen=True)
class ReferencePage:
    """A page, by its place in the site."""

    path: str
    title: str
    text: str


def reference_pages(uses: Mapping[str, Sequence[tuple[str, str]]]) -> list[ReferencePage]:
    """Return the pages; `uses` has (title, path) of the pages that show a class or function, by
    `name_of` it.
    """
    modules = [module for package in PACKAGES for module in public_modules(package)]
    shown = [module for module in modules if module.__all__]
    homes = _homes(shown)
    pages = [_room_page(module, homes, uses) for module in shown]
    return [_index_page(shown), *pages]


def _index_page(modules: Sequence[ModuleType]) -> ReferencePage:
    lines = [
        "# Reference",
        "",
        "All public names, by room. Users may rely on these, and on nothing else. Examples are run",
        "by `make docs`, after `import numpy as np, torch, torchcross as tx`.",
        "",
    ]
    lines += ["| room | what it holds |", "| --- | --- |"]
    for module in modules:
        summary = (module.__doc__ or "").splitlines()[0]
        lines.append(f"| [{module.__name__}]({module.__name__}.md) | {summary} |")
    return ReferencePage("reference/index.md", "Reference", "\n".join(lines) + "\n")


def _room_page(
    module: ModuleType, homes: Mapping[int, str], uses: Mapping[str, Sequence[tuple[str, str]]]
) -> ReferencePage:
    name = module.__name__
    here = [
        each for each in sorted(module.__all__, key=str.lower) if _home(module, each, homes) == name
    ]
    elsewhere = [each for each in sorted(module.__all__, key=str.lower) if each not in here]
    lines = [
        f"# {name}",
        "",
        f"::: {name}",
        *_options(members=False, show_root_heading=False, show_root_toc_entry=False),
        "",
    ]
    for each in elsewhere:
        home = _home(module, each, homes)
        path = _shown_path(importlib.import_module(home), each)
        lines.append(f"- [`{each}`][{path}], of `{home}`")
    lines.append("")
    for each in here:
        lines += [f"::: {_shown_path(module, each)}", *_member_options(getattr(module, each)), ""]
        if pages := uses.get(name_of(getattr(module, each))):
            links = ", ".join(f"[{title}](../{path})" for title, path in pages)
            lines += [f"Used in: {links}", "{ .used-in }", ""]
    return ReferencePage(f"reference/{name}.md", name.rpartition(".")[2], "\n".join(lines))


def _shown_path(module: ModuleType, name: str) -> str:
    """Return the path that means the value: where a file has the same name, that of its file."""
    value, path = getattr(module, name), f"{module.__name__}.{name}"
    has_same_file = not isinstance(value, ModuleType) and _has_file(module, name)
    return name_of(value) if has_same_file else path


def _has_file(module: ModuleType, name: str) -> bool:
    return hasattr(module, "__path__") and find_spec(f"{module.__name__}.{name}") is not None


def _member_options(value: object) -> list[str]:
    if isinstance(value, ModuleType):
        names = [name for name in getattr(value, "__all__", dir(value)) if not name.startswith("_")]
        own = [
            name
            for name in names
            if getattr(getattr(value, name), "__module__", "") == value.__name__
        ]
        return _options(members=own)
    return []


def _options(**options: object) -> list[str]:
    return ["    options:", *(f"      {name}: {_yaml(value)}" for name, value in options.items())]


def _yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _homes(modules: Sequence[ModuleType]) -> dict[int, str]:
    """Return, by the identity of a class or function, the room that shows it in full."""
    homes: dict[int, str] = {}
    for module, value in _exported(modules):
        is_own = str(getattr(value, "__module__", "")).startswith(f"{module.__name__}.")
        is_face = module.__name__ in PACKAGES
        is_exact = getattr(value, "__module__", "") == module.__name__
        if id(value) not in homes or is_exact or (is_own and not is_face):
            homes[id(value)] = module.__name__
    return homes


def _exported(modules: Sequence[ModuleType]) -> Iterator[tuple[ModuleType, object]]:
    for module in modules:
        for name in module.__all__:
            value = getattr(module, name)
            if callable(value):
                yield module, value


def _home(module: ModuleType, name: str, homes: Mapping[int, str]) -> str:
    """Return the room that shows a name in full; a value that is no class or function is shown in
    its own.
    """
    return homes.get(id(getattr(module, name)), module.__name__)
