"""The library's own sampler with its episodes renumbered or selected, and ways to do so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np


class Renumbered:
    """The library's sampler, whose episodes have other numbers."""

    def __init__(self, sampler, number):
        self.sampler, self.request, self.number = sampler, sampler.request, number

    def source(self, name):
        return self.sampler.source(name)

    def __getitem__(self, index):
        return replace(self.sampler[self.number(index)], index=index)


class Picky(Renumbered):
    """Only episodes that please are given; `number` says of a plan whether it does."""

    def __getitem__(self, index):
        for attempt in range(2000):
            plan = self.sampler[index + 10**6 * attempt]
            if self.number(plan):
                return replace(plan, index=index)
        raise RuntimeError(f"no episode {index} pleases")


def always_zero(index):
    return 0


def twice_each(index):
    return index // 2


def one_of_ten(index):
    return index % 10


def not_the_first_class(plan):
    return 0 not in plan.classes


def even_samples_in_the_support(plan):
    return (plan.support % 2 == 0).all()


def not_sample_five(plan):
    return not (np.concatenate([plan.support, plan.query]) == 5).any()


def support_is_small(plan):
    return len(plan.support) <= 6


def query_is_balanced(plan):
    labels = plan.query_labels
    if labels.ndim == 1:
        return len(set(np.bincount(labels, minlength=len(plan.classes)).tolist())) == 1
    both = np.stack([(labels == 0).sum(axis=0), (labels == 1).sum(axis=0)])
    return bool((both >= 2).all())
