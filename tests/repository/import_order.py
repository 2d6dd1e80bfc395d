"""Which room may import which: the tables, and a reader of imports that needs no import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.repository.sources import PACKAGES, absolute_module, source_files

_LABELS = ("task", "targets", "errors")
_EPISODES = ("episode", "plan", "_kit", *_LABELS)
_MODELS = ("algorithms", "text", "heads", "functional", "backbones")
_RESULTS = ("statistics", "records")
_STUDIES = (
    *("training", "evaluation", "embedding", *_RESULTS, *_MODELS),
    *("data", "metrics", "losses", *_EPISODES),
)
_ADAPTER_FORMAT = (".writing", ".preprocess", ".format")
_ADAPTER_ROOMS = (
    *(".fetch", ".synthetic", ".convert", ".audit", ".show", ".leave_out"),
    *_ADAPTER_FORMAT,
)
_ENTRANCES = ("experiment", "transfer", "report", "testing", "interop")

# A new room is placed here, in the row it belongs to, or the build fails.
# "" is the root, torchcross/__init__.py: it names everything and only the entry points import it.
ALLOWED: dict[str, tuple[str, ...]] = {
    "torchcross.messages": (),
    "torchcross.errors": ("messages",),
    "torchcross._kit": ("errors", "messages"),
    "torchcross.losses": ("errors", "_kit"),
    "torchcross.metrics": ("errors", "_kit"),
    "torchcross.targets": ("losses", "metrics", "errors", "_kit"),
    "torchcross.task": ("targets", "errors"),
    "torchcross.plan": ("_kit",),
    "torchcross.episode": ("plan", *_LABELS, "_kit"),
    "torchcross.data": _EPISODES,
    "torchcross.functional": ("errors",),
    "torchcross.backbones": ("functional", "_kit", "errors"),
    "torchcross.heads": ("functional", *_EPISODES),
    "torchcross.text": ("task", "targets", "errors", "_kit"),
    "torchcross.algorithms": ("heads", "functional", "backbones", "text", *_EPISODES),
    # It knows no experiment: whoever has work to share plans units for it.
    "torchcross.jobs": ("errors", "_kit"),
    "torchcross.records": ("metrics", *_LABELS, "_kit", "messages"),
    "torchcross.statistics": ("records", "metrics", *_LABELS, "_kit"),
    "torchcross.embedding": ("jobs", "functional", "backbones", "data", *_EPISODES),
    "torchcross.evaluation": ("records", *_MODELS, "data", "metrics", "losses", *_EPISODES),
    "torchcross.training": tuple(room for room in _STUDIES if room != "training"),
    # Reports see records, never models.
    "torchcross.report": (*_RESULTS, "metrics", "messages", *_EPISODES),
    "torchcross.transfer": ("report", "jobs", *_STUDIES),
    "torchcross.testing": (*_MODELS, "data", "metrics", "losses", *_EPISODES),
    "torchcross.interop": _STUDIES,
    # An experiment makes the trackers of its trainings.
    "torchcross.experiment": ("interop", "transfer", "report", "jobs", *_STUDIES),
    "torchcross.cli": ("", "messages", *_ENTRANCES, *_STUDIES),
    "torchcross.__main__": ("cli",),
    "torchcross": ("cli", *_ENTRANCES, *_STUDIES),
    # An adapter knows the library, never the reverse: the command line finds it by entry point.
    # A dot stands for the adapter itself.
    "medimeta_adapter.format": ("data", *_LABELS, "_kit"),
    "medimeta_adapter.preprocess": ("errors", "_kit"),
    "medimeta_adapter.leave_out": (".format", "errors", "_kit"),
    "medimeta_adapter.writing": (".format", ".preprocess", *_LABELS, "_kit"),
    "medimeta_adapter.audit": (
        *(".format", ".preprocess", "data"),
        *(*_LABELS, "messages", "_kit"),
    ),
    "medimeta_adapter.convert": (*_ADAPTER_FORMAT, "data", "errors", "_kit"),
    "medimeta_adapter.synthetic": (*_ADAPTER_FORMAT, "errors", "_kit"),
    "medimeta_adapter.fetch": (".synthetic", ".convert", *_ADAPTER_FORMAT, "errors", "_kit"),
    "medimeta_adapter.show": (".leave_out", ".format", "errors", "_kit"),
    "medimeta_adapter.commands": (*_ADAPTER_ROOMS, "cli", "errors", "messages", "_kit"),
    "medimeta_adapter": _ADAPTER_ROOMS,
}

# What each room that has rooms of its own allows them; its face names them all, and none of them
# imports the face.
INNER: dict[str, dict[str, tuple[str, ...]]] = {
    "torchcross.data": {
        "sources": (),
        "sampling": ("sources",),
        "loading": ("sampling", "sources"),
        "plan_files": ("sampling", "sources"),
    },
    "torchcross.functional": {
        "trees": (),
        "network": ("trees",),
        "loop": ("network", "trees"),
        "certify": ("loop", "network", "trees"),
    },
    "torchcross.transfer": {
        "source_target": (),
        "table_files": (),
        "scores": (),
        "similarity": ("source_scores", "scores", "table_files"),
        "rankings": ("source_target",),
        "results": ("rankings", "source_target"),
        "source_choice": ("rankings", "source_target"),
        "source_scores": ("source_choice", "scores"),
        "page": ("results", "rankings", "similarity", "source_target"),
        "published": ("page", "results", "similarity", "source_target", "table_files"),
        "studies": (
            *("page", "source_choice", "source_scores", "results", "rankings"),
            *("similarity", "scores", "source_target"),
        ),
    },
    "torchcross.experiment": {
        "settings": (),
        "data_formats": (),
        "engine_settings": (),
        "device": ("settings",),
        "studies": ("device", "settings", "data_formats", "engine_settings"),
        "source_rules": (),
        "source_ranking": ("studies", "source_rules"),
        "source_ranking_tables": ("source_ranking",),
        "study_status": ("run",),
        "rows": ("settings",),
        "run": ("device", "rows", "data_formats", "engine_settings", "settings"),
        "page": ("run", "rows", "data_formats", "settings"),
        "tuning": ("device", "run", "rows", "data_formats", "settings"),
        "opened": ("device", "run", "rows", "settings"),
        "outcome": ("page", "run", "settings"),
    },
}

LIBRARY = "torchcross"
ADAPTER = "medimeta_adapter"


@dataclass(frozen=True)
class Arrow:
    """`importer` (a room) imports `imported` (a room), at `place` (file:line)."""

    importer: str
    imported: str
    place: str


def wrong_arrows(root: Path) -> list[str]:
    """Return one sentence for every import under `root` that the tables do not allow."""
    table = permitted_imports()
    sentences = []
    for arrow in sorted(arrows(root), key=lambda arrow: arrow.place):
        if arrow.importer not in table:
            sentences.append(
                f"{arrow.place}: the room '{arrow.importer}' has no row in the table; place it"
            )
        elif arrow.imported not in table[arrow.importer]:
            sentences.append(
                f"{arrow.place}: '{arrow.importer}' must not import '{arrow.imported}'"
            )
    return sentences


def unplaced_rooms(root: Path) -> list[str]:
    """Return the rooms, and the rooms inside them, that exist under `root` and have no row."""
    rooms = set()
    for source in source_files(root):
        room = _room(source.module)
        rooms.add(room)
        if room in INNER:
            rooms.add(_inner_room(source.module))
    return sorted(rooms - set(permitted_imports()))


def permitted_imports() -> dict[str, set[str]]:
    """Return both tables in full names: what each room, and each room inside one, may import."""
    table = {room: {_full_name(name) for name in permitted} for room, permitted in ALLOWED.items()}
    for room, floors in INNER.items():
        table[room] |= {f"{room}.{name}" for name in floors}
        for name, permitted in floors.items():
            table[f"{room}.{name}"] = {f"{room}.{other}" for other in permitted}
    return table


def arrows(root: Path) -> Iterator[Arrow]:
    """Yield every import that leaves a room, or a room inside a room, wherever it stands: top
    level, function, TYPE_CHECKING.
    """
    sources = source_files(root)
    known = {source.module for source in sources}
    for source in sources:
        for node in source.nodes:
            if not isinstance(node, ast.Import | ast.ImportFrom | ast.Call):
                continue
            for name in _imported_modules(node, source.folder, known):
                importer, imported = _ends(source.module, name)
                if name.partition(".")[0] in PACKAGES and importer != imported:
                    yield Arrow(importer, imported, f"{source.name}:{node.lineno}")


def _ends(module: str, imported: str) -> tuple[str, str]:
    """Return the rooms of two modules, or the inner rooms where both are in one room with floors
    of its own.
    """
    ends = _room(module), _room(imported)
    if ends[0] == ends[1] and ends[0] in INNER:
        return _inner_room(module), _inner_room(imported)
    return ends


def _full_name(room: str) -> str:
    return ADAPTER + room if room.startswith(".") else f"{LIBRARY}.{room}".rstrip(".")


def _room(module: str) -> str:
    """Return `torchcross.data` for `torchcross.data.sampling.sampler`."""
    return ".".join(module.split(".")[:2])


def _inner_room(module: str) -> str:
    """Return `torchcross.data.sampling` for `torchcross.data.sampling.sampler`."""
    return ".".join(module.split(".")[:3])


def _imported_modules(node: ast.AST, package: str, known: set[str]) -> list[str]:
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            base = absolute_module(module, level, package)
            # `from torchcross import data` imports the room, `from torchcross import Task` the
            # root.
            return [_submodule_or(base, alias.name, known) for alias in names]
        case ast.Call(func=func, args=[ast.Constant(value=str(name)), *_]) if _is_dynamic_import(
            func
        ):
            return [name]
    return []


def _submodule_or(base: str, name: str, known: set[str]) -> str:
    candidate = f"{base}.{name}"
    is_room_elsewhere = base == LIBRARY and candidate in ALLOWED
    return candidate if candidate in known or is_room_elsewhere else base


def _is_dynamic_import(func: ast.expr) -> bool:
    name = func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")
    return name in ("import_module", "__import__")
