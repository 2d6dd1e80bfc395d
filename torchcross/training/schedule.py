"""The learning rate of a step, as a function of its number: a checkpoint need not hold it."""

from __future__ import annotations

import math

from torchcross.training.options import FitOptions


def learning_rate(options: FitOptions, step: int) -> float:
    """The learning rate of step s = 1, 2, ... of S, with W steps of warm-up.

    s <= W:    lr s / W
    s > W:     lr, or lr_end + (lr - lr_end) f(t) with t = (s - 1 - W) / (S - W), where f is 1 - t
               ("linear"), or (1 + cos(π t)) / 2 (Loshchilov & Hutter 2017, one cycle)
    """
    if step <= options.warmup:
        return options.lr * step / options.warmup
    if options.schedule == "constant":
        return options.lr
    passed = (step - 1 - options.warmup) / (options.steps - options.warmup)
    left = 1.0 - passed
    if options.schedule == "cosine":
        left = (1.0 + math.cos(math.pi * passed)) / 2.0
    return options.lr_end + (options.lr - options.lr_end) * left
