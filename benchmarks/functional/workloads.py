"""The two workloads that inner loops are measured by.

W1: Conv4-64, 28x28 grey, 5-way 5-shot, 15 queries a class, 5 inner steps.
W2: ResNet-18, 3x64x64, tasks with 5, 3, 1 and 14 outputs, 25 support and 50 query images, 4 inner steps.
Both: BatchNorm on batch statistics, zero heads, rate 0.1, float32.
"""

import torch
import torch.nn.functional as F
from torch import nn

from torchcross.functional import Inner, Meta, Network, Problem, sgd

RATE = 0.1


def conv4(channels=64):
    layers = []
    for at in range(4):
        layers += [
            nn.Conv2d(1 if at == 0 else channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
    return nn.Sequential(*layers, nn.Flatten()), channels


class Block(nn.Module):
    def __init__(self, inside, outside, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outside)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outside)
        self.downsample = None
        if stride != 1 or inside != outside:
            self.downsample = nn.Sequential(nn.Conv2d(inside, outside, 1, stride, bias=False), nn.BatchNorm2d(outside))

    def forward(self, x):
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


def resnet18():
    layers = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1),
    ]
    width = 64
    for outside, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [Block(width, outside, stride), Block(outside, outside, 1)]
        width = outside
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten()), 512


class Workload:
    def __init__(self, name, tasks=None):
        torch.manual_seed(0)
        self.name = name
        if name == "W1":
            self.module, self.width = conv4()
            self.steps, self.ways = 5, [5] * (tasks or 4)
            self.data = [self._data(ways, 25, 75, 1, 28) for ways in self.ways]
        else:
            self.module, self.width = resnet18()
            self.steps, self.ways = 4, [5, 3, 1, 14][: tasks or 4]
            self.data = [self._data(ways, 25, 50, 3, 64) for ways in self.ways]
        self.module.train()
        self.params = {name: value.detach().clone().requires_grad_() for name, value in self.module.named_parameters()}
        self.buffers = {name: value.clone() for name, value in self.module.named_buffers()}

    @staticmethod
    def _data(ways, support, query, channels, size):
        def labels(count):
            if ways in (1, 14):
                return torch.randint(0, 2, (count, ways)).float()
            return torch.arange(count) % ways

        return {
            "xs": torch.randn(support, channels, size, size),
            "ys": labels(support),
            "xq": torch.randn(query, channels, size, size),
            "yq": labels(query),
        }

    @staticmethod
    def loss(logits, labels):
        if labels.is_floating_point():
            return F.binary_cross_entropy_with_logits(logits, labels)
        return F.cross_entropy(logits, labels)

    def heads(self):
        return [{"head.weight": torch.zeros(ways, self.width), "head.bias": torch.zeros(ways)} for ways in self.ways]

    def problems(self, steps=None):
        network = Network(self.module)

        def support(params, buffers, data, step):
            features, buffers = network.support(params, buffers, data["xs"], step=step)
            logits = F.linear(features, params["head.weight"], params["head.bias"])
            return self.loss(logits, data["ys"]), buffers

        def query(params, buffers, data, step):
            features, buffers = network.query(params, buffers, data["xq"], statistics={}, step=step)
            logits = F.linear(features, params["head.weight"], params["head.bias"])
            return self.loss(logits, data["yq"]), buffers

        inner = Inner(support, query, sgd(), steps or self.steps, zero_head="head.*")
        problems = [Problem(inner, data, own) for data, own in zip(self.data, self.heads(), strict=True)]
        return problems, Meta(self.params, RATE, self.buffers)

    def plain(self, order=2):
        """The loop that everybody writes: functional_call, autograd.grad, a backward for each task."""
        for value in self.params.values():
            value.grad = None
        total = 0.0
        for data, head in zip(self.data, self.heads(), strict=True):
            adapted = {**self.params, **{name: value.requires_grad_() for name, value in head.items()}}
            for _ in range(self.steps):
                loss = self.loss(self._logits(adapted, data["xs"]), data["ys"])
                grads = torch.autograd.grad(loss, list(adapted.values()), create_graph=order == 2)
                adapted = {
                    name: value - RATE * grad for (name, value), grad in zip(adapted.items(), grads, strict=True)
                }
            loss = self.loss(self._logits(adapted, data["xq"]), data["yq"]) / len(self.data)
            loss.backward()
            total += loss.item()
        return total

    def _logits(self, params, x):
        body = {name: value for name, value in params.items() if name in self.params}
        buffers = {name: value.clone() for name, value in self.buffers.items()}
        features = torch.func.functional_call(self.module, {**body, **buffers}, (x,))
        return F.linear(features, params["head.weight"], params["head.bias"])
