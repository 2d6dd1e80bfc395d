"""Things by name that others add to: in a plugin file, or by an entry point of their package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar, final

from torchcross._kit.installed_packages import (
    InstalledPackage,
    load_entry_point,
    package_of_point,
    sole_point,
    warn_of_unused_points,
)
from torchcross._kit.rollback import undo_on_failure
from torchcross._kit.suggestions import unknown_name
from torchcross.errors import InputError

T = TypeVar("T")


def _same(name: str) -> str:
    return name


@final
class Extensions(dict[str, T]):
    """Items by name: the library's own, added ones, and those of installed packages.

    An item of an installed package is loaded when it is first asked for.

    own    the items of the library
    group  the name of the group of entry points
    kind   what an item is called in errors, such as "backbone"
    check  gets the name and the item; returns what is stored, or raises if it is no such item
    key    turns a longer name into the name that is looked up
    """

    def __init__(
        self,
        own: Mapping[str, T],
        *,
        group: str,
        kind: str,
        check: Callable[[str, Any], T],
        key: Callable[[str], str] = _same,
    ) -> None:
        super().__init__(own)
        self.own = frozenset(own)
        self._group, self._kind, self._check, self._key = group, kind, check, key
        self._packages: dict[str, InstalledPackage] = {}
        self._loading: set[str] = set()
        self._has_warned = False

    def add(self, name: str, item: Any) -> T:
        """Add one; a name that is there already is refused, unless it is of the same thing.

        One that an installed package has is there already: it is loaded, and compared.
        """
        checked = self._check(checked_name(self._kind, name), item)
        self._load_installed(name)
        if dict.__contains__(self, name) and self[name] != checked:
            raise InputError(
                f"the {self._kind} {name!r} is {self._origin(name)}; give yours another name"
            )
        before = dict(self)
        undo_on_failure(lambda: self._restore(name, before))
        self[name] = checked
        return checked

    def _load_installed(self, name: str) -> None:
        """Load the one of an installed package, if there is one that is not loaded yet."""
        if dict.__contains__(self, name) or name in self._loading:
            return
        if point := sole_point(self._kind, name, self._points(name)):
            # One that cannot be loaded has no claim to the name: its package may be under way to
            # add the same thing while it is imported.
            with suppress(InputError):
                self._load(name, point)

    def _restore(self, name: str, before: Mapping[str, T]) -> None:
        self.pop(name, None)
        if name in before:
            self[name] = before[name]

    def _origin(self, name: str) -> str:
        if name in self.own:
            return "of the library"
        package = self.package_of(name)
        return f"of the installed package {package.name}" if package else "added already"

    def package_of(self, name: str) -> InstalledPackage | None:
        """The installed package that one was loaded from by its entry point."""
        plain = self._key(name)
        return self._packages.get(plain) if dict.__contains__(self, plain) else None

    def packages(self) -> frozenset[InstalledPackage]:
        """The installed packages that any was loaded from."""
        return frozenset(package for name in self if (package := self.package_of(name)))

    def names(self) -> tuple[str, ...]:
        """All that can be asked for, those of installed packages too."""
        return tuple(dict.fromkeys((*self, *(point.name for point in self._points()))))

    def __contains__(self, name: object) -> bool:
        self._warn_of_unused_points()
        return dict.__contains__(self, name) or bool(self._points(str(name)))

    def __missing__(self, name: str) -> T:
        plain = self._key(name)
        if plain != name:
            return self[plain]
        if point := sole_point(self._kind, name, self._points(name)):
            return self._load(name, point)
        raise InputError(self.unknown_text(name))

    def unknown_text(self, name: object, known: Iterable[str] | None = None, kind: str = "") -> str:
        """What is said where a name is unknown: it may be misspelt, or that of a plugin."""
        known = self.names() if known is None else known
        return (
            f"{unknown_name(kind or self._kind, name, known)}; one of your own needs its file:"
            " --plugin FILE.py"
        )

    def _load(self, name: str, point: EntryPoint) -> T:
        self._loading.add(name)
        try:
            # Its module may add the same thing by itself while it is imported.
            item = self.add(name, load_entry_point(point, self._kind))
        finally:
            self._loading.discard(name)
        self._packages[name] = package_of_point(point)
        return item

    def _warn_of_unused_points(self) -> None:
        """Warn, the first time only, of entry points that cannot replace an item of the library."""
        if not self._has_warned:
            self._has_warned = True
            warn_of_unused_points(self._kind, self._points(), self.own)

    def _points(self, name: str | None = None) -> tuple[EntryPoint, ...]:
        if name is None:
            return tuple(entry_points(group=self._group))
        return tuple(entry_points(group=self._group, name=name))


def checked_name(kind: str, name: object) -> str:
    """The name itself if settings, files and commands can use it; every registry checks this."""
    if not isinstance(name, str) or not name.isprintable() or not name or name != name.strip():
        raise InputError(
            f"a {kind} cannot be called {name!r}; give a text of printable characters, without"
            " spaces at its ends"
        )
    return name
