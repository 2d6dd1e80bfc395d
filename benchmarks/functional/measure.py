"""Time of a meta-batch as a ratio to the plain loop, interleaved; medians.

python benchmarks/functional/measure.py W1 --tasks 4 --engine reverse --rounds 5
"""

import argparse
import pathlib
import statistics
import sys
import time

import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from workloads import Workload

from torchcross.functional import meta_loss


def ours(workload, engine):
    problems, meta = workload.problems()

    def run():
        for value in workload.params.values():
            value.grad = None
        result = meta_loss(problems, meta, engine=engine, lanes="loop")
        result.loss.backward()
        return result.loss.item()

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workload", choices=["W1", "W2"])
    parser.add_argument("--tasks", type=int)
    parser.add_argument("--engine", default="reverse")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--clock", choices=["wall", "cpu"], default="wall", help="cpu: less disturbed by others"
    )
    options = parser.parse_args()
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    torch.set_num_threads(options.threads)
    workload = Workload(options.workload, options.tasks)
    order = 1 if options.engine == "first_order" else 2
    run = ours(workload, options.engine)
    ratios, plain_times = [], []
    for at in range(options.rounds + 1):
        start = clock()
        plain_loss = workload.plain(order)
        middle = clock()
        our_loss = run()
        end = clock()
        if at:
            ratios.append((end - middle) / (middle - start))
            plain_times.append(middle - start)
    print(
        f"{options.workload} T={len(workload.data)} {options.engine}: ratio"
        f" {statistics.median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f}), plain"
        f" {statistics.median(plain_times):.2f} s, losses {plain_loss:.5f} {our_loss:.5f}"
    )


if __name__ == "__main__":
    main()
