"""Product files as syntax trees, each parsed once a process, and walks that several rules need."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("torchcross", "medimeta_adapter")

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """A product file: `name` is its path from the root of the checkout, with slashes."""

    name: str
    text: str

    @property
    def package(self) -> str:
        return self.name.partition("/")[0]

    @property
    def tree(self) -> ast.Module:
        return parse(self.text, self.name)

    @property
    def nodes(self) -> tuple[ast.AST, ...]:
        """Return every node of the tree."""
        return _all_nodes(self.text, self.name)

    @property
    def statements(self) -> list[ast.stmt]:
        return [node for node in self.nodes if isinstance(node, ast.stmt)]

    @property
    def module(self) -> str:
        """Return the dotted name: `torchcross.data` for `torchcross/data/__init__.py`."""
        return self.name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def folder(self) -> str:
        """Return the dotted name of the package that holds the file; a folder holds its own
        `__init__.py`.
        """
        return self.name.rpartition("/")[0].replace("/", ".")


@dataclass(frozen=True)
class Violation:
    """What breaks a rule: the file, the line, and what stands there."""

    file: str
    line: int
    what: str

    @property
    def package(self) -> str:
        return self.file.partition("/")[0]

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what}"


@dataclass(frozen=True)
class Import:
    """`from module import name`, or `import module` where `name` is None; `module` is absolute."""

    line: int
    module: str
    name: str | None
    bound_name: str

    def imported_module(self, modules: Set[str]) -> str:
        """Return the module that is imported, or the one that holds the imported name."""
        submodule = f"{self.module}.{self.name}"
        return submodule if submodule in modules else self.module


@cache
def parse(text: str, name: str = "<text>") -> ast.Module:
    """Return the tree of `text`. The cache holds it under the text, so a changed file is new."""
    return ast.parse(text, filename=name)


def source_files(root: Path = ROOT, packages: tuple[str, ...] = PACKAGES) -> list[Source]:
    """Return the Python files of the packages under `root`, in order of their names."""
    return [
        Source(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
        for package in packages
        for path in sorted((root / package).rglob("*.py"))
    ]


@cache
def _all_nodes(text: str, name: str) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(parse(text, name)))


def forget_trees() -> None:
    parse.cache_clear()
    _all_nodes.cache_clear()


def imports(source: Source) -> Iterator[Import]:
    """Yield the imports of a file, wherever they stand."""
    for node in source.nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                bound = alias.asname or alias.name.partition(".")[0]
                yield Import(node.lineno, alias.name, None, bound)
        elif isinstance(node, ast.ImportFrom):
            module = absolute_module(node.module, node.level, source.folder)
            for alias in node.names:
                yield Import(node.lineno, module, alias.name, alias.asname or alias.name)


def absolute_module(module: str | None, level: int, folder: str) -> str:
    """Return the dotted name of `from ..module import x` in a file of `folder`."""
    if level == 0:
        return module or ""
    parts = folder.split(".")
    above = parts[: len(parts) - (level - 1)]
    return ".".join([*above, *([module] if module else [])])


def module_names(sources: Sequence[Source]) -> set[str]:
    """Return the dotted names of the files and of the folders that hold them."""
    names: set[str] = set()
    for source in sources:
        parts = source.module.split(".")
        names.update(".".join(parts[:count]) for count in range(1, len(parts) + 1))
    return names


def is_dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")


def docstring(node: ast.AST) -> ast.stmt | None:
    """Return the statement that is the docstring of a module, a class or a function."""
    if not isinstance(node, ast.Module | ast.ClassDef | FunctionNode) or not node.body:
        return None
    first = node.body[0]
    value = first.value if isinstance(first, ast.Expr) else None
    is_text = isinstance(value, ast.Constant) and isinstance(value.value, str)
    return first if is_text else None


def own_nodes(statement: ast.stmt) -> Iterator[ast.AST]:
    """Yield the nodes below a statement that belong to no statement inside it.

    For `if`, `for`, `with`, `def` and `class` these are the header alone.
    """
    waiting = list(ast.iter_child_nodes(statement))
    while waiting:
        node = waiting.pop()
        if not isinstance(node, ast.stmt):
            yield node
            waiting.extend(ast.iter_child_nodes(node))


def local_names(function: FunctionNode | ast.Lambda) -> set[str]:
    """Return the parameters of a function and the names that its own body binds."""
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    every += [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    names = {argument.arg for argument in every}
    body = function.body if isinstance(function.body, list) else [function.body]
    waiting: list[ast.AST] = list(body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, FunctionNode | ast.Lambda | ast.ClassDef):
            continue
        names.update(_names_bound_by(node))
        waiting.extend(ast.iter_child_nodes(node))
    return names


def _names_bound_by(node: ast.AST) -> list[str]:
    match node:
        case ast.Name(id=name, ctx=ast.Store()):
            return [name]
        case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
            return [name]
        case ast.MatchStar(name=str(name)) | ast.MatchMapping(rest=str(name)):
            return [name]
        case ast.alias(name=name, asname=alias):
            return [alias or name.partition(".")[0]]
    return []
