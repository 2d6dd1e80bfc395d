"""Rates that fall with the distance of a layer from the head (layer-wise rate decay).

Blocks are found by a rule that needs no names: they are the members, with layers of their own, of
the outermost `nn.Sequential` and `nn.ModuleList`. These are the blocks of ViTs and of `conv4`, the
residual blocks of ResNets, the stages of hierarchical networks.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from torchcross.errors import InputError
from torchcross.functional import select


def blocks_to_head(backbone: nn.Module, blocks: Sequence[str] | None = None) -> dict[str, int]:
    """Parameter -> how many blocks away the head is: 0 after the last block, 1 in it, and so on.

    What stands before the first block is one block further away, and what stands between two blocks
    counts with the earlier one; the order is that in which the module lists its parameters.
    `blocks` are patterns of parameter names, one for each block from the input on, for modules that
    the rule does not suit.
    """
    names = [name for name, _ in backbone.named_parameters()]
    of_block = _blocks_by_rule(backbone) if blocks is None else _blocks_by_pattern(names, blocks)
    count = max(of_block.values(), default=0)
    if not count:
        raise InputError(
            f"layer_decay is for backbones with blocks, and {type(backbone).__name__} has none: no"
            " nn.Sequential or nn.ModuleList in it has members with layers of their own. Give"
            " blocks=[...], a pattern of parameter names for each block from the input on, such as"
            " ['layer1.*', 'layer2.*'], or layer_decay=1."
        )
    away, last, left = {}, 0, len(of_block.keys() & set(names))
    for name in names:
        if name in of_block:
            last = max(last, of_block[name])
            left -= 1
            away[name] = count + 1 - of_block[name]
        else:
            away[name] = count + 1 - last if left else 0
    return away


def _blocks_by_rule(backbone: nn.Module) -> dict[str, int]:
    prefixes = _block_names(backbone, "")
    return {
        f"{prefix}.{name}": number
        for number, prefix in enumerate(prefixes, start=1)
        for name, _ in backbone.get_submodule(prefix).named_parameters()
    }


def _block_names(module: nn.Module, name: str) -> list[str]:
    """The names of the blocks inside a module, in its own order."""
    members = [
        (f"{name}.{own}" if name else own, child)
        for own, child in module.named_children()
        if any(True for _ in child.parameters())
    ]
    is_list = isinstance(module, nn.Sequential | nn.ModuleList)
    if not is_list:
        return [block for inner, child in members for block in _block_names(child, inner)]
    blocks = [(inner, child) for inner, child in members if _has_layers(child)]
    if len(blocks) == 1:
        inner, child = blocks[0]
        return _block_names(child, inner) or [inner]
    return [inner for inner, _ in blocks]


def _has_layers(module: nn.Module) -> bool:
    """Whether it has layers of its own with parameters."""
    return any(True for layer in module.children() for _ in layer.parameters())


def _blocks_by_pattern(names: list[str], blocks: Sequence[str]) -> dict[str, int]:
    if isinstance(blocks, str) or not blocks:
        raise InputError(
            f"blocks={blocks!r}; give a list with a pattern of parameter names for each block, from"
            " the input on."
        )
    of_block: dict[str, int] = {}
    for number, pattern in enumerate(blocks, start=1):
        for name in select(names, pattern):
            if name in of_block:
                raise InputError(
                    f"blocks: the parameter {name!r} is in block {of_block[name]} and in block"
                    f" {number} ({pattern!r}); give each block its own."
                )
            of_block[name] = number
    return of_block
