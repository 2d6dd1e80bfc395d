"""As much of Lightning as a module of ours sees, and a taskset as learn2learn's are."""

from types import ModuleType

import torch
from torch import nn

from torchcross.episode import Batch, Episode


class LightningModule(nn.Module):
    current_epoch = 0

    def __init__(self):
        super().__init__()
        self.logged = []

    def log(self, name, value, **options):
        self.logged.append((name, float(value), options))


def lightning():
    module = ModuleType("lightning")
    module.LightningModule = LightningModule  # type: ignore[attr-defined]
    return module


class Trainer:
    """The order in which Lightning calls a module in one epoch."""

    def fit(self, module, batches, validation):
        optimiser = module.configure_optimizers()
        for number, batch in enumerate(batches):
            optimiser.zero_grad()
            loss = module.training_step(batch, number)
            loss.backward()
            optimiser.step()
            module.on_train_batch_end(loss, batch, number)
        with torch.inference_mode():
            for number, batch in enumerate(validation):
                module.validation_step([_read_here(item) for item in batch], number)


def _read_here(item):
    """A loader runs inside inference mode too, and so its tensors are of that mode."""
    support, query = (Batch(part.x.clone(), part.y.clone()) for part in (item.support, item.query))
    return Episode(support, query, item.task, item.plan)


class Taskset:
    """Tasks as NWays, KShots and ConsecutiveLabels leave them: sorted, `2 * shots` per class."""

    def __init__(self, ways=3, shots=2, count=4):
        self.ways, self.shots, self.count = ways, shots, count

    def __len__(self):
        return self.count

    def __getitem__(self, index):
        labels = torch.arange(self.ways).repeat_interleave(2 * self.shots)
        places = torch.arange(len(labels))
        return (100 * index + places).float().reshape(-1, 1, 1, 1), labels


def fast_adapt_split(data, labels, shots, ways):
    """How learn2learn's examples part one batch."""
    adaptation = torch.zeros(data.size(0), dtype=torch.bool)
    adaptation[torch.arange(shots * ways) * 2] = True
    return (data[adaptation], labels[adaptation]), (data[~adaptation], labels[~adaptation])
