"""Why there are no correlations, in one line for each reason."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from torchcross._kit.counts import count_text
from torchcross._kit.listed_names import first_names
from torchcross.transfer.rankings import Correlation


def lacking_correlation_lines(correlations: Sequence[tuple[str, Correlation]]) -> Iterator[str]:
    """A sentence for each reason, with the scores and distances that it holds for.

    What has no correlation over all pairs has none within targets either, which goes unsaid.
    """
    pooled = {
        (name, item.self_pairs)
        for name, item in correlations
        if item.reason and item.over == "pooled"
    }
    names: dict[tuple[str, str], dict[str, None]] = {}
    for name, item in correlations:
        is_said = item.over != "pooled" and (name, item.self_pairs) in pooled
        if item.reason and not is_said:
            names.setdefault((_scope_of(item), item.reason), {})[name] = None
    for (scope, reason), named in names.items():
        yield f"No correlation {scope} for {first_names(list(named))}: {reason}."


def _scope_of(item: Correlation) -> str:
    pairs = f"over {count_text(item.n, 'pairs')} {'with' if item.self_pairs else 'without'}"
    where = "" if item.over == "pooled" else f"{item.over}, "
    return f"{where}{pairs} self-pairs"
