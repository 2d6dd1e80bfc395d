"""The rule of privacy, as four checks.

A file carries no underscore. A folder may carry one, and is then imported only from the folder that
holds it; `torchcross/_kit` serves both packages. A function, a class or a variable with an
underscore is used in the module that defines it alone; an attribute also by subclasses, through
`self`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence, Set
from pathlib import Path

from tests.repository.sources import PACKAGES, Source, Violation, imports, is_dunder, module_names

# The toolbox is for both packages.
SHARED_FOLDERS = ("torchcross._kit",)
# Calls that define an attribute whose name is a string.
SETTERS = {"setattr", "__setattr__", "register_buffer", "register_parameter"}
# Attributes of other libraries that a private name of ours is spelled like, each with the reason.
ATTRIBUTES_OF_OTHERS: dict[str, str] = {
    "_asdict": "public in collections.namedtuple",
    "_fields": "public in collections.namedtuple",
    "_make": "public in collections.namedtuple",
    "_replace": "public in collections.namedtuple",
    "_version": "torch's count of changes in place; there is no public way to it",
}


def private_files(sources: Sequence[Source]) -> Iterator[Violation]:
    """Files carry no underscore; a folder may."""
    for source in sources:
        stem = Path(source.name).stem
        if stem.startswith("_") and not is_dunder(stem):
            yield Violation(source.name, 1, f"file `{stem}.py`")


def private_folders(sources: Sequence[Source]) -> Iterator[Violation]:
    """A folder with an underscore is imported only from the folder that holds it."""
    modules = module_names(sources)
    for source in sources:
        for item in imports(source):
            imported = item.imported_module(modules)
            for folder in _private_parts(imported):
                holder = folder.rpartition(".")[0]
                outside = not f"{source.module}.".startswith(f"{holder}.")
                if _is_ours(folder) and outside and folder not in SHARED_FOLDERS:
                    what = f"`{item.bound_name}` of `{imported}`, from outside `{holder}`"
                    yield Violation(source.name, item.line, what)


def private_imports(sources: Sequence[Source]) -> Iterator[Violation]:
    """No module imports a private name of another one of ours."""
    modules = module_names(sources)
    for source in sources:
        for item in imports(source):
            name = item.name or ""
            is_name = item.imported_module(modules) == item.module
            if is_name and _is_private(name) and _is_ours(item.module):
                what = f"imports `{name}` from `{item.module}`"
                yield Violation(source.name, item.line, what)


def private_attributes(sources: Sequence[Source]) -> Iterator[Violation]:
    """An attribute with an underscore is used where it is defined, or by the class itself."""
    modules = module_names(sources)
    defined = {source: _private_definitions(source) for source in sources}
    ours = set().union(*defined.values()) - set(ATTRIBUTES_OF_OTHERS)
    for source in sources:
        imported = _names_of_modules(source, modules)
        other_names = {item.bound_name for item in imports(source) if not _is_ours(item.module)}
        for node in source.nodes:
            if not isinstance(node, ast.Attribute) or node.attr not in ours:
                continue
            owner = node.value
            of_module = isinstance(owner, ast.Name) and owner.id in imported
            elsewhere = node.attr not in defined[source] and not _is_own_object(owner)
            if of_module or (elsewhere and _root_name(owner) not in other_names):
                yield Violation(source.name, node.lineno, f"`{ast.unparse(node)}`")


def _is_private(name: str) -> bool:
    return name.startswith("_") and not is_dunder(name)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in PACKAGES


def _private_parts(module: str) -> Iterator[str]:
    """Yield `a._b` for `a._b.c`: the private modules and packages on the way to a module."""
    parts = module.split(".")
    for count, part in enumerate(parts, start=1):
        if _is_private(part):
            yield ".".join(parts[:count])


def _names_of_modules(source: Source, modules: Set[str]) -> set[str]:
    """Return the names that a file gives to modules of ours."""
    named = set()
    for item in imports(source):
        is_module = item.name is None or item.imported_module(modules) != item.module
        if is_module and _is_ours(item.module):
            named.add(item.bound_name)
    return named


def _private_definitions(source: Source) -> set[str]:
    """Return the private names that a file defines: functions, classes, variables, attributes."""
    names = set()
    for node in source.nodes:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                names.add(name)
            case ast.ClassDef(name=name) | ast.Name(id=name, ctx=ast.Store()):
                names.add(name)
            case ast.Attribute(value=value, attr=name, ctx=ast.Store()) if _is_own_object(value):
                names.add(name)
            case ast.Call(func=function, args=arguments) if _called(function) in SETTERS:
                names.update(_constants(arguments))
    return set(filter(_is_private, names))


def _called(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _constants(arguments: Sequence[ast.expr]) -> Iterator[str]:
    for argument in arguments:
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
            yield argument.value


def _root_name(node: ast.expr) -> str | None:
    """Return `a` for `a.b.c`."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _is_own_object(node: ast.expr) -> bool:
    """Return whether an expression is the object, its class or `super()`."""
    match node:
        case ast.Name(id="self" | "cls") | ast.Attribute(attr="__class__"):
            return True
        case ast.Call(func=ast.Name(id="super" | "type"), args=arguments):
            return all(map(_is_own_object, arguments))
    return False
