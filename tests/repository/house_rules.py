"""The house rules that neither ruff nor mypy knows, read from the syntax tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.repository.sources import FunctionNode, Source

FILE_LINES = 400
FUNCTION_LINES = 70
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

# Nodes that can ask for the type of a target.
QUESTIONS = ast.Call | ast.Compare | ast.MatchClass | ast.MatchValue

Violation = tuple[int, str]
"""The line, and a sentence."""


def violations(source: Source, inside_targets: bool) -> list[str]:
    """Return one `file:line: sentence` for every rule that the file breaks."""
    broken = [*_long_file(source.text), *_long_functions(source)]
    for node in source.nodes:
        if isinstance(node, ast.Call):
            broken += [*_hash_call(node), *_global_draw(node)]
        if not inside_targets and isinstance(node, QUESTIONS):
            broken += _target_type_asked(node)
    excused = {node.lineno for node in _hash_methods(source)}
    return [
        f"{source.name}:{line}: {sentence}"
        for line, sentence in sorted(broken)
        if line not in excused
    ]


def _long_file(text: str) -> Iterator[Violation]:
    lines = text.count("\n")
    if lines > FILE_LINES:
        yield 1, f"{lines} lines; about 300 are enough for a file"


def _long_functions(source: Source) -> Iterator[Violation]:
    for node in source.nodes:
        if isinstance(node, FunctionNode):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield node.lineno, f"'{node.name}' has {lines} lines; a function fits on a screen"


def _hash_call(node: ast.Call) -> Iterator[Violation]:
    if isinstance(node.func, ast.Name) and node.func.id == "hash":
        yield node.lineno, "hash() differs between processes; derive keys with a digest"


def _hash_methods(source: Source) -> Iterator[ast.Call]:
    """Yield the calls of hash() inside a `__hash__`, which is what it is for."""
    for method in source.nodes:
        if isinstance(method, ast.FunctionDef) and method.name == "__hash__":
            yield from (node for node in ast.walk(method) if isinstance(node, ast.Call))


def _global_draw(node: ast.Call) -> Iterator[Violation]:
    if not isinstance(node.func, ast.Attribute):
        return
    name = node.func.attr
    seeded = any(keyword.arg in ("generator", None) for keyword in node.keywords)
    if name in NEVER_SEEDED or (name in DRAWS and not seeded):
        yield node.lineno, f"'{name}' moves the global generator; pass generator="


def _target_type_asked(node: ast.AST) -> list[Violation]:
    match node:
        case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, kinds]):
            parts = list(ast.walk(kinds))
        case ast.MatchClass(cls=kind):
            parts = [kind]
        case ast.MatchValue(value=value):
            parts = [value]
        case ast.Compare():
            parts = list(ast.walk(node))
        case _:
            return []
    names = [(getattr(part, "lineno", 1), _target_type(part)) for part in parts]
    return [(line, f"asks for {name} outside targets/") for line, name in names if name]


def _target_type(node: ast.AST) -> str | None:
    """Return how an expression names a target type; None if it does not."""
    name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", None)
    if name in TARGET_TYPES:
        return f"the target type {name}"
    kind = node.value if isinstance(node, ast.Constant) else None
    is_kind = isinstance(kind, str) and kind in TARGET_KINDS
    return f"the target type {kind!r}" if is_kind else None
