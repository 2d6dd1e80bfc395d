"""An extension of griffe, which reads the packages for the reference."""

from __future__ import annotations

from typing import Any

from griffe import Attribute, Class, Extension, Module, Object

from docs.site.docstring_markdown import as_markdown


class Docstrings(Extension):
    """Docstrings become Markdown; what the signature of a class shows is not shown once more."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        for item in _objects_of(pkg):
            if item.docstring is not None:
                item.docstring.value = as_markdown(item.docstring.value)
            if isinstance(item, Class):
                _drop_plain_attributes(item)


def _objects_of(item: Object) -> list[Object]:
    members = [member for member in item.members.values() if not member.is_alias]
    return [item, *(below for member in members for below in _objects_of(member))]


def _drop_plain_attributes(item: Class) -> None:
    for name, member in list(item.members.items()):
        if not isinstance(member, Attribute) or "property" in member.labels:
            continue
        if member.docstring is None:
            del item.members[name]
