"""Which public names the code that is run shows, and where: in pages, and in docstrings.

python -m docs.site.uses > tests/repository/without_example.txt
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from docs.site.pages import ROOT, page_paths, title_of
from tests.repository.markdown import fences
from tests.repository.public_surface import public_modules

PACKAGES = ("torchcross", "medimeta_adapter")


def public_objects() -> dict[str, Any]:
    """Return the public classes and functions under the names that they were defined with."""
    modules = [module for package in PACKAGES for module in public_modules(package)]
    values = [getattr(module, name) for module in modules for name in module.__all__]
    return {name_of(value): value for value in values if name_of(value)}


def name_of(value: object) -> str:
    """Return where a class or function is defined, one name for all its exports; else nothing."""
    if hasattr(value, "cache_info"):
        value = inspect.unwrap(value)  # a function with a cache
    if inspect.isclass(value) or inspect.isfunction(value):
        return f"{value.__module__}.{value.__name__}"
    return ""


def names_without_example() -> list[str]:
    """Return the public classes and functions that no code shows that is run.

    Such code stands in a page, in a script of `docs/examples` or in the docstring. A class that a
    function returns is shown where the function is. Blocks that need an optional package count:
    they are run where it is.
    """
    objects = public_objects()
    shown = {name for name, value in objects.items() if has_example(value)}
    shown |= {name for name in pages_that_use() if name in objects}
    for script in sorted(ROOT.glob("docs/examples/*.py")):
        shown |= defined_names(script.read_text(encoding="utf-8"))
    shown |= set(_returned_by(shown, objects))
    return sorted(set(objects) - shown)


def has_example(value: object) -> bool:
    """Return whether the docstring has an example, besides lines that are not run."""
    lines = (inspect.getdoc(value) or "").splitlines()
    return any(line.lstrip().startswith(">>>") and "+SKIP" not in line for line in lines)


def pages_that_use(root: Path = ROOT) -> dict[str, list[tuple[str, str]]]:
    """Return (title, path) of the pages whose code shows a class or function, by its name."""
    pages: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for page in page_paths(root):
        text = (root / page).read_text(encoding="utf-8")
        blocks = [fence for fence in fences(text) if fence.language == "python"]
        code = "\n".join(fence.text for fence in blocks if fence.not_run is None)
        for name in sorted(defined_names(code)):
            pages[name].append((title_of(text, page), page))
    return dict(pages)


def defined_names(code: str) -> set[str]:
    """Return the classes and functions that a piece of code uses, as `name_of` names them."""
    return {name for dotted in names_used(code) for name in _names_along(dotted)}


def names_used(code: str) -> set[str]:
    """Return the dotted names of these packages that a piece of code uses after importing them."""
    tree = ast.parse(code)
    imported = dict(_imported(tree))
    used = set()
    for node in ast.walk(tree):
        dotted = _dotted(node)
        first, _, rest = dotted.partition(".")
        if first in imported:
            used.add(f"{imported[first]}.{rest}" if rest else imported[first])
    return used


def _names_along(dotted: str) -> Iterator[str]:
    """Yield the names of the classes and functions on the way of `package.room.Class.method`."""
    first, *rest = dotted.split(".")
    value: Any = importlib.import_module(first)
    for part in rest:
        value = _attribute(value, part)
        if value is None:
            return
        if name := name_of(value):
            yield name


def _attribute(value: Any, name: str) -> Any:
    if isinstance(value, ModuleType) and not hasattr(value, name):
        try:
            return importlib.import_module(f"{value.__name__}.{name}")
        except ModuleNotFoundError:
            return None
    return getattr(value, name, None)


def main() -> None:
    sys.stdout.writelines(f"{name}\n" for name in names_without_example())


def _returned_by(shown: set[str], objects: dict[str, Any]) -> Iterator[str]:
    """Yield the classes that functions and methods with an example return."""
    classes = {value.__name__: name for name, value in objects.items() if inspect.isclass(value)}
    for name in shown & set(objects):
        value = objects[name]
        functions = [value] if inspect.isfunction(value) else list(vars(value).values())
        for function in functions:
            returned = str(getattr(function, "__annotations__", {}).get("return", ""))
            for word in re.findall(r"\w+", returned):
                if word in classes:
                    yield classes[word]


def _imported(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the local name and the dotted name of everything imported from these packages."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                package = alias.name.partition(".")[0]
                if package in PACKAGES and alias.asname:
                    yield alias.asname, alias.name
                elif package in PACKAGES:
                    yield package, package
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in PACKAGES:
            for alias in node.names:
                yield alias.asname or alias.name, f"{node.module}.{alias.name}"


def _dotted(node: ast.AST) -> str:
    """Return `a.b.c` for such an expression, or an empty text."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        value = _dotted(node.value)
        return f"{value}.{node.attr}" if value else ""
    return ""


if __name__ == "__main__":
    main()
