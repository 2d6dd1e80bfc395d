"""The tensors of an ensemble: those of its members in one tree.

A tensor that members do not share is stacked, under its name with a prefix that no parameter of a
module has.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_EACH = "each/"
Tree = dict[str, Tensor]


def stack_members(trees: Sequence[dict[str, Tree]]) -> dict[str, Tree]:
    """The parts of all members as one; heads are stacked under their own names."""
    first = trees[0]
    parts = {part: _stack([tree[part] for tree in trees]) for part in first.keys() - {"head"}}
    heads = [tree["head"] for tree in trees]
    head = {name: torch.stack([one[name] for one in heads]) for name in first["head"]}
    return {**parts, "head": head}


def member_of(tree: Tree, number: int) -> Tree:
    """The tensors of one member, under their own names."""
    return {
        name.removeprefix(_EACH): value[number] if name.startswith(_EACH) else value
        for name, value in tree.items()
    }


def are_one(tree: Tree) -> bool:
    """Whether all members have the same tensors."""
    return not any(name.startswith(_EACH) for name in tree)


def sizes_of_members(tree: Tree) -> set[int]:
    """How many members the stacked tensors are of."""
    return {
        len(value) if value.dim() else 0 for name, value in tree.items() if name.startswith(_EACH)
    }


def _stack(trees: Sequence[Tree]) -> Tree:
    stacked = {}
    for name, value in trees[0].items():
        values = [tree[name] for tree in trees]
        if all(_is_same(value, other) for other in values):
            stacked[name] = value
        else:
            stacked[_EACH + name] = torch.stack(values)
    return stacked


def _is_same(one: Tensor, other: Tensor) -> bool:
    return one is other or (one.data_ptr() == other.data_ptr() != 0 and one.shape == other.shape)


class MemberBackbones(nn.Module):
    """The features of several backbones, side by side."""

    def __init__(self, backbones: Sequence[nn.Module]) -> None:
        super().__init__()
        self.backbones = nn.ModuleList(backbones)

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([backbone(images) for backbone in self.backbones], dim=-1)
