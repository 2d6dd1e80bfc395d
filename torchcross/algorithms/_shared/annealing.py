"""What changes over the epochs of meta-training (MAML++, Antoniou et al. 2019)."""

from __future__ import annotations

from torchcross.errors import InputError

_LEAST = 0.03


def multi_step_weights(steps: int, epoch: int, epochs: int) -> tuple[float, ...]:
    """Return the weights of the query losses after each of N steps.

    All are 1/N at first. Those before the last fall to .03/N over the annealing epochs, by equal
    amounts, and the last one takes the rest.
    """
    share = 1.0 / steps
    early = max(share * (1.0 - epoch / epochs), _LEAST * share)
    return (*[early] * (steps - 1), 1.0 - early * (steps - 1))


def checked_epoch(epoch: int | None, *, is_annealed: bool) -> int:
    if epoch is None and is_annealed:
        raise InputError(
            "this algorithm anneals over epochs (multi_step, first_order_epochs); say which epoch"
            " it is: meta_loss(episodes, epoch=...)."
        )
    if epoch is not None and epoch < 0:
        raise InputError(f"epoch must be 0 or more, not {epoch}.")
    return epoch or 0
