"""The house rules of CONTRIBUTING.md hold in every file of the library, and each can be seen to
fail.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.repository.house_rules import FILE_LINES, FUNCTION_LINES, findings

ROOT = Path(__file__).parents[2]
FILES = [
    path
    for package in ("torchcross", "medimeta_adapter")
    for path in sorted((ROOT / package).rglob("*.py"))
]


def test_the_files_are_found() -> None:
    assert ROOT / "torchcross" / "errors.py" in FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_house_rules_hold(path: Path) -> None:
    assert findings(path, inside_targets=ROOT / "torchcross" / "targets" in path.parents) == []


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
def test_a_broken_rule_is_caught(tmp_path: Path, text: str) -> None:
    path = tmp_path / "room.py"
    path.write_text(text)
    assert findings(path, inside_targets=False) != []


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
def test_a_kept_rule_is_not(tmp_path: Path, text: str) -> None:
    path = tmp_path / "room.py"
    path.write_text(text)
    assert findings(path, inside_targets=False) == []


def test_targets_may_ask_for_target_types(tmp_path: Path) -> None:
    path = tmp_path / "base.py"
    path.write_text("if isinstance(target, Binary): pass\n")
    assert findings(path, inside_targets=True) == []
