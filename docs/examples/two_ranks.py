"""One training in two processes of this machine, which goes on after one of them was killed.

New processes import the function that they call. So it stands in a file, below no `if`.
"""

import torchcross as tx
from torchcross import backbones
from torchcross.algorithms import ProtoNet
from torchcross.data import toys
from torchcross.errors import RankError
from torchcross.training import FitOptions, FitResult, fit, run_on_ranks

OPTIONS = FitOptions(steps=6, meta_batch=4, checkpoint_every=2)


def train(folder: str) -> FitResult:
    sampler = tx.EpisodeSampler(toys.binary(60, size=16), shots=2, queries=2, seed=0)
    algorithm = ProtoNet(backbones.conv4(4, in_channels=1))
    return fit(algorithm, sampler, OPTIONS, folder=folder)


def main() -> None:
    for attempt in range(3):
        try:
            result = run_on_ranks(train, "runs/two-ranks", ranks=2)
        except RankError as error:  # a rank was killed, by the system when memory ran out, say
            print(f"attempt {attempt}: {error}")
        else:
            print(f"{result.steps} steps on {result.ranks} ranks")
            return


if __name__ == "__main__":
    main()
