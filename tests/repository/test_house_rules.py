"""The house rules of CONTRIBUTING.md hold in every file of the library, and each can fail."""

from __future__ import annotations

import pytest

from tests.repository.house_rules import FILE_LINES, FUNCTION_LINES, violations
from tests.repository.sources import Source, source_files


def violations_in(text: str, name: str = "torchcross/room.py") -> list[str]:
    inside_targets = name.startswith("torchcross/targets/")
    return violations(Source(name, text), inside_targets=inside_targets)


def test_house_rules_hold() -> None:
    sources = source_files()
    assert "torchcross/errors.py" in {source.name for source in sources}
    broken = []
    for source in sources:
        broken += violations_in(source.text, source.name)
    assert broken == []


@pytest.mark.parametrize(
    "text",
    [
        "key = hash((1, 2))\n",
        "noise = torch.randn(3)\n",
        "noise = torch.randn_like(x)\n",
        "noise = x.normal_()\n",
        "torch.nn.init.kaiming_normal_(w, mode='fan_out')\n",
        "if isinstance(target, Binary): pass\n",
        "if isinstance(target, targets.Ordinal | int): pass\n",
        "if type(target) is MultiLabel: pass\n",
        "if target.kind == 'ordinal': pass\n",
        "if target.kind in ('binary', 'ordinal'): pass\n",
        "match target:\n    case MultiClass(): pass\n",
        "match target.kind:\n    case 'multilabel': pass\n",
        "x = 1\n" * (FILE_LINES + 1),
        "def f():\n" + "    x = 1\n" * FUNCTION_LINES,
    ],
)
def test_a_broken_rule_is_caught(text: str) -> None:
    sentences = violations_in(text)
    assert sentences
    assert all(sentence.startswith("torchcross/room.py:") for sentence in sentences)


@pytest.mark.parametrize(
    "text",
    [
        "class A:\n    def __hash__(self): return hash(self.key)\n",
        "noise = torch.randn(3, generator=g)\n",
        "noise = torch.randn(3, **options)\n",
        "target = Binary(['no', 'yes'])\n",
        "if isinstance(target, Target): pass\n",
        "kinds = {'binary': 1}\n",
        "x = 1\n" * FILE_LINES,
        "def f():\n" + "    x = 1\n" * (FUNCTION_LINES - 1),
    ],
)
def test_a_kept_rule_is_not(text: str) -> None:
    assert violations_in(text) == []


def test_targets_may_ask_for_target_types() -> None:
    assert (
        violations_in("if isinstance(target, Binary): pass\n", "torchcross/targets/base.py") == []
    )
