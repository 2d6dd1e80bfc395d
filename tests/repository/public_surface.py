"""Reads the public surface: the public rooms of a package and the names in their `__all__`.

python tests/repository/public_surface.py           print it, for both packages
python tests/repository/public_surface.py --write   accept it: write the lists beside this file
"""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).parents[2]
LISTINGS = {
    "torchcross": Path(__file__).with_name("public_surface.txt"),
    "medimeta_adapter": Path(__file__).with_name("public_surface_medimeta.txt"),
}


def public_modules(package: str) -> list[ModuleType]:
    """Return a package and its rooms; what lies deeper or starts with an underscore is private."""
    face = importlib.import_module(package)
    rooms = [
        room.name for room in pkgutil.iter_modules(face.__path__) if not room.name.startswith("_")
    ]
    return [face, *(importlib.import_module(f"{package}.{room}") for room in sorted(rooms))]


def public_names(package: str) -> list[str]:
    """Return the surface of a package as dotted names, sorted."""
    return sorted(
        f"{module.__name__}.{name}" for module in public_modules(package) for name in module.__all__
    )


def undeclared_names(module: ModuleType) -> set[str]:
    """Return the names that `module` defines or re-exports, and shows, without an underscore or
    `__all__`.
    """
    tree = ast.parse(Path(str(module.__file__)).read_text(encoding="utf-8"))
    names = {name for statement in tree.body for name in _bound_names(statement, module.__name__)}
    shown = {name for name in names & set(dir(module)) if not name.startswith("_")}
    # A file of the room that its face imports is no name of its own.
    parts = {name for name in shown if isinstance(getattr(module, name), ModuleType)}
    return shown - parts - set(module.__all__)


def _bound_names(statement: ast.stmt, module: str) -> list[str]:
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [
                node.id
                for target in targets
                for node in ast.walk(target)
                if isinstance(node, ast.Name)
            ]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.ImportFrom(module=source, level=level, names=aliases):
            own = level == 1 or (level == 0 and f"{source}.".startswith(f"{module}."))
            return [alias.asname or alias.name for alias in aliases] if own else []
    return []


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["--write"]):
        print(__doc__, file=sys.stderr)
        return 2
    for package, listing in LISTINGS.items():
        text = "".join(f"{name}\n" for name in public_names(package))
        if arguments:
            listing.write_text(text, encoding="utf-8")
        else:
            print(text, end="")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main(sys.argv[1:]))
