"""The rules of words, density and privacy that `test_names.py` keeps.

`python -m tests.repository.names [PATH ...]` lists what breaks them, in all files or below paths.
"""

from __future__ import annotations

import argparse
import ast
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

from tests.repository.privacy import (
    private_attributes,
    private_files,
    private_folders,
    private_imports,
)
from tests.repository.readability import ORIGINS, conditionals_by_statement, holds_conditional
from tests.repository.sources import (
    FunctionNode,
    Source,
    Violation,
    is_dunder,
    local_names,
    source_files,
)
from tests.repository.words import is_bare_participle

# Function names that look like participles and are not, each with the reason.
NO_PARTICIPLES: dict[str, str] = {}


# -- words ----------------------------------------------------------------------------------------


def bare_participles(sources: Sequence[Source]) -> Iterator[Violation]:
    """Functions are verb phrases or say what they return."""
    for source in sources:
        for node in source.nodes:
            if not isinstance(node, FunctionNode) or is_dunder(node.name):
                continue
            if is_bare_participle(node.name) and node.name not in NO_PARTICIPLES:
                yield Violation(source.name, node.lineno, f"function `{node.name}`")


def names_by_origin(sources: Sequence[Source]) -> Iterator[Violation]:
    """Locals and parameters are named for what they are, not for how they came."""
    for source in sources:
        for node in source.nodes:
            if isinstance(node, FunctionNode | ast.Lambda):
                owner = getattr(node, "name", "lambda")
                for name in sorted(local_names(node) & set(ORIGINS)):
                    yield Violation(source.name, node.lineno, f"`{name}` in `{owner}`")


def repeated_classes(sources: Sequence[Source]) -> Iterator[Violation]:
    """A public class name stands for one class in both packages."""
    places = defaultdict(list)
    for source in sources:
        for node in source.nodes:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append((source.name, node.lineno))
    for name, definitions in places.items():
        if len(definitions) > 1:
            for file, line in definitions:
                yield Violation(file, line, f"class `{name}`, one of {len(definitions)}")


# -- density --------------------------------------------------------------------------------------


def nested_conditionals(sources: Sequence[Source]) -> Iterator[Violation]:
    """No conditional expression stands inside another."""
    for source in sources:
        for conditionals in conditionals_by_statement(source):
            for conditional in filter(holds_conditional, conditionals):
                yield Violation(source.name, conditional.lineno, "nested conditional expression")


def crowded_statements(sources: Sequence[Source]) -> Iterator[Violation]:
    """A statement has one conditional expression at most."""
    for source in sources:
        for conditionals in conditionals_by_statement(source):
            if len(conditionals) > 1:
                line = min(conditional.lineno for conditional in conditionals)
                what = f"{len(conditionals)} conditional expressions in one statement"
                yield Violation(source.name, line, what)


Rule = Callable[[Sequence[Source]], Iterator[Violation]]
RULES: dict[str, Rule] = {
    rule.__name__: rule
    for rule in (
        *(bare_participles, names_by_origin, repeated_classes),
        *(nested_conditionals, crowded_statements),
        *(private_files, private_folders, private_imports, private_attributes),
    )
}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.repository.names",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="*", default=[""], help="where; everywhere if left out")
    options = parser.parse_args(arguments)
    sources = source_files()
    violations = {name: list(rule(sources)) for name, rule in RULES.items()}
    for name, rule in RULES.items():
        shown = [item for item in violations[name] if item.file.startswith(tuple(options.paths))]
        print(f"{name}: {len(shown)}. {rule.__doc__}")
        for item in shown:
            print(f"  {item}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
