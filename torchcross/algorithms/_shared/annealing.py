"""What changes over the epochs of meta-training (MAML++, Antoniou et al. 2019)."""

from __future__ import annotations

from torchcross.errors import InputError

__all__ = ["epoch_of", "multi_step_weights"]

_LEAST = 0.03


def multi_step_weights(steps: int, epoch: int, epochs: int) -> tuple[float, ...]:
    """Weights of the query losses after each of N steps: all 1/N at first; those before the last
    fall to .03/N over the annealing epochs, by equal amounts, and the last takes the rest.
    """
    share = 1.0 / steps
    early = max(share * (1.0 - epoch / epochs), _LEAST * share)
    return (*[early] * (steps - 1), 1.0 - early * (steps - 1))


def epoch_of(epoch: int | None, annealed: bool) -> int:
    if epoch is None:
        if annealed:
            raise InputError(
                "this algorithm anneals over epochs (multi_step, first_order_epochs); say which"
                " epoch it is: meta_loss(episodes, epoch=...)."
            )
        return 0
    if epoch < 0:
        raise InputError(f"epoch must be 0 or more, not {epoch}.")
    return epoch
