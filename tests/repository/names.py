"""The rules of words, density and privacy that `test_names.py` keeps.

python -m tests.repository.names [PATH ...]  what breaks them, in files whose name starts so
python -m tests.repository.names --lower     write the counts into ratchet.json where they fell
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

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

# How many violations of a rule each package may still have. The numbers only go down.
RATCHET = Path(__file__).with_name("ratchet.json")

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


def allowed_counts() -> dict[str, dict[str, int]]:
    """Return how many violations each rule still allows in each package; none without the file."""
    if not RATCHET.exists():
        return {}
    counts: dict[str, dict[str, int]] = json.loads(RATCHET.read_text(encoding="utf-8"))
    return counts


def lowered(
    allowed: dict[str, dict[str, int]], counts: dict[str, Counter[str]]
) -> dict[str, dict[str, int]]:
    """Return the allowed counts, each lowered to the actual one where that is less."""
    return {
        rule: {package: min(count, counts[rule][package]) for package, count in packages.items()}
        for rule, packages in allowed.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.repository.names",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="*", default=[""], help="where; everywhere if left out")
    parser.add_argument("--lower", action="store_true", help="lower the numbers of ratchet.json")
    options = parser.parse_args(arguments)
    sources = source_files()
    violations = {name: list(rule(sources)) for name, rule in RULES.items()}
    if options.lower:
        counts = {name: Counter(item.package for item in each) for name, each in violations.items()}
        text = json.dumps(lowered(allowed_counts(), counts), indent=2)
        RATCHET.write_text(f"{text}\n", encoding="utf-8")
    for name, rule in RULES.items():
        shown = [item for item in violations[name] if item.file.startswith(tuple(options.paths))]
        print(f"{name}: {len(shown)}. {rule.__doc__}")
        for item in shown:
            print(f"  {item}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
