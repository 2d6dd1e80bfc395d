"""The house rules that neither ruff nor mypy knows, read from the syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

FILE_LINES = 420
FUNCTION_LINES = 75
TARGET_TYPES = {"Binary", "MultiClass", "MultiLabel", "Ordinal"}
TARGET_KINDS = {"binary", "multiclass", "multilabel", "ordinal"}
DRAWS = {
    *("rand", "randn", "randint", "randperm", "multinomial", "bernoulli", "normal", "poisson"),
    *(
        "uniform_",
        "normal_",
        "random_",
        "bernoulli_",
        "exponential_",
        "log_normal_",
        "geometric_",
        "cauchy_",
    ),
    *(
        "xavier_uniform_",
        "xavier_normal_",
        "kaiming_uniform_",
        "kaiming_normal_",
        "trunc_normal_",
        "orthogonal_",
    ),
}
NEVER_SEEDED = {"rand_like", "randn_like", "randint_like"}

Finding = tuple[int, str]


def findings(path: Path, inside_targets: bool) -> list[str]:
    """Return one `line: sentence` for every rule that the file breaks."""
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    found = [*_long_file(text), *_long_functions(tree)]
    rules: list[Callable[[ast.AST], Iterator[Finding]]] = [_hash_call, _global_draw]
    if not inside_targets:
        rules.append(_target_type_asked)
    for node in ast.walk(tree):
        for rule in rules:
            found.extend(rule(node))
    excused = {node.lineno for node in _hash_methods(tree)}
    return [f"{line}: {sentence}" for line, sentence in sorted(found) if line not in excused]


def _long_file(text: str) -> Iterator[Finding]:
    lines = text.count("\n")
    if lines > FILE_LINES:
        yield 1, f"{lines} lines; about 300 are enough for a file"


def _long_functions(tree: ast.Module) -> Iterator[Finding]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield node.lineno, f"'{node.name}' has {lines} lines; a function fits on a screen"


def _hash_call(node: ast.AST) -> Iterator[Finding]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "hash":
        yield node.lineno, "hash() differs between processes; derive keys with a digest"


def _hash_methods(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield the calls of hash() inside a `__hash__`, which is what it is for."""
    for method in ast.walk(tree):
        if isinstance(method, ast.FunctionDef) and method.name == "__hash__":
            yield from (node for node in ast.walk(method) if isinstance(node, ast.Call))


def _global_draw(node: ast.AST) -> Iterator[Finding]:
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return
    name = node.func.attr
    seeded = any(keyword.arg in ("generator", None) for keyword in node.keywords)
    if name in NEVER_SEEDED or (name in DRAWS and not seeded):
        yield node.lineno, f"'{name}' moves the global generator; pass generator="


def _target_type_asked(node: ast.AST) -> Iterator[Finding]:
    asked: list[ast.AST] = []
    match node:
        case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, kinds]):
            asked = list(ast.walk(kinds))
        case ast.MatchClass(cls=kind):
            asked = [kind]
        case ast.MatchValue(value=value):
            asked = [value]
        case ast.Compare():
            asked = list(ast.walk(node))
    for part in asked:
        name = part.id if isinstance(part, ast.Name) else getattr(part, "attr", None)
        kind = part.value if isinstance(part, ast.Constant) else None
        if name in TARGET_TYPES or (isinstance(kind, str) and kind in TARGET_KINDS):
            yield (
                getattr(part, "lineno", 1),
                f"asks for the target type {name or kind!r} outside targets/",
            )
