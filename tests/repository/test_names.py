"""The house speaks in the words of its field, plainly, and keeps private what is private.

`python -m tests.repository.names PATH` lists what breaks the rules below a path.
"""

from __future__ import annotations

from functools import cache

import pytest

from tests.repository.names import RULES
from tests.repository.sources import PACKAGES, Source, Violation, source_files

SHOWN = 20


@cache
def violations_of(rule: str) -> list[Violation]:
    return list(RULES[rule](source_files()))


def complaint(rule: str, violations: list[Violation]) -> str:
    """Return the message of a broken rule: where it is broken, but no more than a screen of it."""
    lines = [f"{RULES[rule].__doc__} {len(violations)} places break this:"]
    lines += [f"  {violation}" for violation in violations[:SHOWN]]
    if len(violations) > SHOWN:
        lines.append(f"  and {len(violations) - SHOWN} more")
    return "\n".join(lines)


@pytest.mark.parametrize("package", PACKAGES)
@pytest.mark.parametrize("rule", RULES)
def test_the_rules_of_names_hold(rule: str, package: str) -> None:
    violations = [item for item in violations_of(rule) if item.package == package]
    assert not violations, complaint(rule, violations)


# -- each rule can fail ---------------------------------------------------------------------------


def broken(rule: str, files: dict[str, str]) -> list[str]:
    sources = [Source(name, text) for name, text in files.items()]
    return sorted(map(str, RULES[rule](sources)))


def in_file(text: str) -> dict[str, str]:
    return {"torchcross/room.py": text}


ONE = "torchcross/one/a.py"
TWO = "torchcross/two/b.py"
HELPER = "torchcross/one/_shared/helper.py"
BROKEN: list[tuple[str, dict[str, str], str]] = [
    ("bare_participles", in_file("def told(): ...\n"), "told"),
    (
        "bare_participles",
        in_file("class A:\n    @property\n    def _merged(self): ...\n"),
        "merged",
    ),
    ("bare_participles", in_file("def f():\n    async def built(): ...\n"), "built"),
    ("names_by_origin", in_file("def f(x, *, told=1): ...\n"), "`told` in `f`"),
    ("names_by_origin", in_file("def f(*given): ...\n"), "`given` in `f`"),
    ("names_by_origin", in_file("def f(xs):\n    for found in xs: ...\n"), "`found` in `f`"),
    ("names_by_origin", in_file("def f(xs):\n    return [found for found in xs]\n"), "`found`"),
    ("names_by_origin", in_file("def f(xs):\n    if (found := xs): ...\n"), "`found`"),
    ("names_by_origin", in_file("def f():\n    with g() as (a, told): ...\n"), "`told`"),
    ("names_by_origin", in_file("def f(x):\n    match x:\n        case [found]: ...\n"), "`found`"),
    ("names_by_origin", in_file("def f(x):\n    try: ...\n    except E as told: ...\n"), "`told`"),
    ("names_by_origin", in_file("key = lambda found: found\n"), "`found` in `lambda`"),
    (
        "repeated_classes",
        {ONE: "class Rows: ...\n", "medimeta_adapter/a.py": "def f():\n    class Rows: ...\n"},
        "class `Rows`, one of 2",
    ),
    ("nested_conditionals", in_file("x = 1 if a else 2 if b else 3\n"), "nested"),
    ("nested_conditionals", in_file("x = 1 if (2 if a else b) else 3\n"), "nested"),
    ("nested_conditionals", in_file("x = [f(1 if a else b)] if c else 3\n"), "nested"),
    ("crowded_statements", in_file("f(1 if a else 2, 3 if b else 4)\n"), "2 conditional"),
    ("crowded_statements", in_file("if (1 if a else 2) < (3 if b else 4): ...\n"), "2 conditional"),
    ("private_files", {"torchcross/_rows.py": ""}, "file `_rows.py`"),
    (
        "private_folders",
        {HELPER: "", TWO: "import torchcross.one._shared.helper\n"},
        "from outside",
    ),
    (
        "private_folders",
        {HELPER: "", TWO: "from torchcross.one._shared import helper\n"},
        "outside",
    ),
    ("private_folders", {HELPER: "", TWO: "from ..one._shared.helper import f\n"}, "from outside"),
    (
        "private_folders",
        {HELPER: "", "medimeta_adapter/a.py": "from torchcross.one._shared.helper import f\n"},
        "medimeta_adapter/a.py:1: `f` of `torchcross.one._shared.helper`",
    ),
    ("private_imports", {TWO: "", ONE: "from torchcross.two.b import _f\n"}, "`_f`"),
    ("private_imports", {TWO: "", ONE: "def f():\n    from ..two.b import _f as g\n"}, "`_f`"),
    (
        "private_attributes",
        {TWO: "def _f(): ...\n", ONE: "from torchcross.two import b\nb._f()\ndef _f(): ...\n"},
        "torchcross/one/a.py:2: `b._f`",
    ),
    (
        "private_attributes",
        {TWO: "_f = 1\n", ONE: "import torchcross.two.b as b\nx = b._f\n"},
        "`b._f`",
    ),
    (
        "private_attributes",
        {TWO: "class A:\n    def f(self):\n        self._x = 1\n", ONE: "def f(a): a._x\n"},
        "`a._x`",
    ),
    (
        "private_attributes",
        {TWO: "class A:\n    _x: int = 1\n", ONE: "def f(self): return self.part._x\n"},
        "`self.part._x`",
    ),
    (
        "private_attributes",
        {TWO: "object.__setattr__(self, '_x', 1)\n", ONE: "def f(a):\n    a._x = 1\n"},
        "`a._x`",
    ),
]


@pytest.mark.parametrize(("rule", "files", "said"), BROKEN)
def test_a_broken_rule_is_caught(rule: str, files: dict[str, str], said: str) -> None:
    messages = broken(rule, files)
    assert messages
    assert said in messages[-1]


def test_every_rule_has_been_seen_to_fail() -> None:
    assert {rule for rule, _, _ in BROKEN} == set(RULES)


KEPT: list[tuple[str, dict[str, str]]] = [
    ("bare_participles", in_file("def read(): ...\ndef is_sorted(): ...\ndef seed(): ...\n")),
    ("bare_participles", in_file("class Merged: ...\n")),
    ("names_by_origin", in_file("def f(x):\n    return x.found + told\n")),
    ("names_by_origin", in_file("class A:\n    found: int\n")),
    ("repeated_classes", {ONE: "class Rows: ...\nclass _A: ...\n", TWO: "class _A: ...\n"}),
    ("nested_conditionals", in_file("f(1 if a else 2, 3 if b else 4)\n")),
    ("crowded_statements", in_file("if 1 if a else 2:\n    x = 3 if b else 4\n")),
    ("private_files", {"torchcross/_kit/__init__.py": "", "torchcross/__main__.py": ""}),
    ("private_folders", {HELPER: "", ONE: "from ._shared.helper import f\n"}),
    ("private_folders", {HELPER: "", "torchcross/one/deep/a.py": "from .._shared import helper\n"}),
    (
        "private_folders",
        {"torchcross/_kit/a.py": "", "medimeta_adapter/a.py": "from torchcross._kit.a import f\n"},
    ),
    ("private_folders", {ONE: "from torch._C import x\n"}),
    ("private_imports", {ONE: "from torch import _f\nfrom torchcross import __version__\n"}),
    ("private_imports", {HELPER: "", ONE: "from torchcross.one import _shared\n"}),
    ("private_attributes", in_file("class A:\n    def f(self): return self._x\n")),
    ("private_attributes", in_file("class A:\n    _x = 1\n    def f(self, a): return a._x\n")),
    (
        "private_attributes",
        {TWO: "_x = 1\n", ONE: "def f(self): return super()._x + type(self)._x\n"},
    ),
    ("private_attributes", {TWO: "_x = 1\n", ONE: "from torch import nn\nnn.modules._x\n"}),
    ("private_attributes", {ONE: "def f(a): return a._x\n"}),
]


@pytest.mark.parametrize(("rule", "files"), KEPT)
def test_a_kept_rule_is_not(rule: str, files: dict[str, str]) -> None:
    assert broken(rule, files) == []


def test_a_complaint_fits_on_a_screen() -> None:
    many = [Violation("torchcross/a.py", line, "file") for line in range(100)]
    lines = complaint("private_files", many).splitlines()
    assert "100 places break this" in lines[0]
    assert lines[1] == "  torchcross/a.py:0: file"
    assert lines[-1] == "  and 80 more"
    assert len(lines) == SHOWN + 2
