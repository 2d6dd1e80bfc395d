"""Samplers that draw otherwise, or not at all, in another process, worker or rank."""

from __future__ import annotations

import os

import numpy as np
from torch.utils.data import get_worker_info

from tests.testing.broken_draws import Uniform


class HashesAString(Uniform):
    def generator(self, number):
        return np.random.Generator(np.random.Philox(key=[hash("toy") % 2**63, number]))


class GoesThroughASet(Uniform):
    def classes(self, number, generator):
        names = list({"a", "b", "c", "d", "e"})
        return ["abcde".index(names[place]) for place in super().classes(number, generator)]


class ReadsItsProcessId(Uniform):
    def generator(self, number):
        return np.random.Generator(np.random.Philox(key=[os.getpid(), number]))


class ReadsItsWorkerId(Uniform):
    def generator(self, number):
        worker = get_worker_info()
        return np.random.Generator(np.random.Philox(key=[worker.id if worker else 0, number]))


class ReadsItsWorkersSeed(Uniform):
    """Workers that start with another seed from torch each."""

    def generator(self, number):
        worker = get_worker_info()
        seed = worker.seed if worker else 0
        return np.random.Generator(np.random.Philox(key=[seed, number]))


class ReadsItsRank(Uniform):
    def generator(self, number):
        rank = int(os.environ.get("RANK", "0"))
        return np.random.Generator(np.random.Philox(key=[rank, number]))


class FailsElsewhere(Uniform):
    owner = 0

    def __getstate__(self):
        return self.__dict__ | {"owner": os.getpid()}

    def generator(self, number):
        if self.owner not in (0, os.getpid()):
            raise RuntimeError("not my process")
        return super().generator(number)


class EndsItsProcess(FailsElsewhere):
    def generator(self, number):
        if self.owner not in (0, os.getpid()):
            os._exit(3)
        return super().generator(number)


class Prints(Uniform):
    """Nothing is wrong with it."""

    def generator(self, number):
        print("drawing", number)
        return super().generator(number)
