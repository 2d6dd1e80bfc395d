"""Which room of the package may import which: the table, and a reader of imports that needs no
import.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_LABELS = ("task", "targets", "errors")
_EPISODES = ("episode", "plan", "_kit", *_LABELS)
_MODELS = ("algorithms", "heads", "functional", "backbones")
_RESULTS = ("statistics", "records")
_STUDIES = ("training", "evaluation", *_RESULTS, *_MODELS, "data", "metrics", "losses", *_EPISODES)
_ENTRANCES = ("experiment", "transfer", "report", "testing", "interop")

# A new room is placed here, in the row it belongs to, or the build fails.
# "" is the root, torchcross/__init__.py: it names everything and only the entry points import it.
ALLOWED: dict[str, tuple[str, ...]] = {
    "torchcross.errors": (),
    "torchcross._kit": ("errors",),
    "torchcross.losses": ("errors", "_kit"),
    "torchcross.metrics": ("errors", "_kit"),
    "torchcross.targets": ("losses", "metrics", "errors", "_kit"),
    "torchcross.task": ("targets", "errors"),
    "torchcross.plan": ("_kit",),
    "torchcross.episode": ("plan", *_LABELS),
    "torchcross.data": _EPISODES,
    "torchcross.functional": ("errors",),
    "torchcross.backbones": ("functional", "_kit", "errors"),
    "torchcross.heads": ("functional", *_EPISODES),
    "torchcross.algorithms": ("heads", "functional", "backbones", *_EPISODES),
    "torchcross.records": ("metrics", "errors", "_kit"),
    "torchcross.statistics": ("records", "metrics", "errors", "_kit"),
    "torchcross.evaluation": ("records", *_MODELS, "data", "metrics", "losses", *_EPISODES),
    "torchcross.training": tuple(room for room in _STUDIES if room != "training"),
    # Reports see records, never models.
    "torchcross.report": (*_RESULTS, "metrics", *_EPISODES),
    "torchcross.transfer": ("report", *_STUDIES),
    "torchcross.experiment": ("transfer", "report", *_STUDIES),
    "torchcross.testing": ("data", "metrics", "losses", *_EPISODES),
    "torchcross.interop": ("experiment", "transfer", "report", "testing", *_STUDIES),
    "torchcross.cli": ("", *_ENTRANCES, *_STUDIES),
    "torchcross.__main__": ("cli",),
    "torchcross": ("cli", *_ENTRANCES, *_STUDIES),
    # An adapter knows the library, never the reverse: the command line finds it by entry point.
    "medimeta_adapter": ("data", "cli", "_kit", *_LABELS),
}

LIBRARY = "torchcross"
PACKAGES = (LIBRARY, "medimeta_adapter")


@dataclass(frozen=True)
class Arrow:
    """`importer` (a room) imports `imported` (a room), at `place` (file:line)."""

    importer: str
    imported: str
    place: str


def wrong_arrows(root: Path) -> list[str]:
    """Return one sentence for every import under `root` that the table does not allow."""
    sentences = []
    for arrow in sorted(arrows(root), key=lambda found: found.place):
        if arrow.importer not in ALLOWED:
            sentences.append(
                f"{arrow.place}: the room '{arrow.importer}' has no row in ALLOWED; place it"
            )
        elif arrow.imported not in _permitted(arrow.importer):
            sentences.append(
                f"{arrow.place}: '{arrow.importer}' must not import '{arrow.imported}'"
            )
    return sentences


def unplaced_rooms(root: Path) -> list[str]:
    """Return the rooms that exist under `root` and have no row in the table."""
    return sorted({_room(module) for module, _ in _modules(root)} - set(ALLOWED))


def arrows(root: Path) -> Iterator[Arrow]:
    """Yield every import of one of our packages, wherever it stands: top level, function,
    TYPE_CHECKING.
    """
    known = {module for module, _ in _modules(root)}
    for module, path in _modules(root):
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        for node in ast.walk(tree):
            for name in _imported_modules(node, package, known):
                importer, imported = _room(module), _room(name)
                if name.partition(".")[0] in PACKAGES and importer != imported:
                    yield Arrow(
                        importer, imported, f"{path.relative_to(root).as_posix()}:{node.lineno}"
                    )


def _permitted(importer: str) -> set[str]:
    return {f"{LIBRARY}.{room}".rstrip(".") for room in ALLOWED[importer]} | {importer}


def _room(module: str) -> str:
    """Return `torchcross.data` for `torchcross.data.plan`; an adapter is one room."""
    parts = module.split(".")
    return ".".join(parts[: 2 if parts[0] == LIBRARY else 1])


def _modules(root: Path) -> Iterator[tuple[str, Path]]:
    for package in PACKAGES:
        for path in sorted((root / package).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def _imported_modules(node: ast.AST, package: str, known: set[str]) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            base = _absolute(module, level, package)
            # `from torchcross import data` imports the room, `from torchcross import Task` the
            # root.
            return [_submodule_or(base, alias.name, known) for alias in names]
        case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if _is_dynamic_import(
            func
        ):
            return [name]
    return []


def _absolute(module: str | None, level: int, package: str) -> str:
    if level == 0:
        return module or ""
    above = package.split(".")
    kept = above[: len(above) - (level - 1)]
    return ".".join([*kept, *([module] if module else [])])


def _submodule_or(base: str, name: str, known: set[str]) -> str:
    candidate = f"{base}.{name}"
    is_room_elsewhere = base == LIBRARY and candidate in ALLOWED
    return candidate if candidate in known or is_room_elsewhere else base


def _is_dynamic_import(func: ast.expr) -> bool:
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    return name in ("import_module", "__import__")
