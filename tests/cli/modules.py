"""What `--module tests.cli.modules:...` names."""

from tests.algorithms.cases import Net
from tests.algorithms.test_certify import OwnRule, WrongStep
from torchcross.algorithms import ProtoNet


def net():
    return Net()


def wrong():
    return WrongStep(Net())


def protonet():
    return ProtoNet(Net())


def own_rule():
    return OwnRule()


def number():
    return 3
