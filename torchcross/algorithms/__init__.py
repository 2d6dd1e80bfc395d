"""Algorithms: from support sets to predictors, one file each."""

from __future__ import annotations

from torchcross.algorithms._shared.closed_form import ClosedForm
from torchcross.algorithms._shared.inner_loop import InnerLoopAlgorithm
from torchcross.algorithms._shared.inner_loop_recipe import InnerLoopRecipe
from torchcross.algorithms._shared.plain_module import PlainPredictor
from torchcross.algorithms.anil import ANIL
from torchcross.algorithms.base import Algorithm, Pretraining, Step, TaskBatch
from torchcross.algorithms.boil import BOIL
from torchcross.algorithms.checks.certificate import Certificate
from torchcross.algorithms.checks.certify import certify
from torchcross.algorithms.checks.estimate import estimate
from torchcross.algorithms.fine_tune import FineTune
from torchcross.algorithms.imaml import IMAML
from torchcross.algorithms.linear_probe import LinearProbe
from torchcross.algorithms.logistic_regression import LogisticRegression
from torchcross.algorithms.maml import MAML
from torchcross.algorithms.meta_sgd import MetaSGD
from torchcross.algorithms.multi_task import MultiTask
from torchcross.algorithms.named_prediction import NamedPrediction
from torchcross.algorithms.options import EpisodicOptions
from torchcross.algorithms.prediction_sets import PredictionSets, prediction_sets
from torchcross.algorithms.predictor import Predictor, load_predictor
from torchcross.algorithms.proto_maml import ProtoMAML
from torchcross.algorithms.protonet import ProtoNet
from torchcross.algorithms.reptile import Reptile
from torchcross.algorithms.ridge import Ridge
from torchcross.algorithms.simple_shot import SimpleShot
from torchcross.algorithms.supervised import Supervised
from torchcross.algorithms.text_logistic import TextLogistic
from torchcross.algorithms.text_prototypes import TextPrototypes
from torchcross.heads import LearnedHeads

__all__ = [
    "ANIL",
    "BOIL",
    "IMAML",
    "MAML",
    "Algorithm",
    "Certificate",
    "ClosedForm",
    "EpisodicOptions",
    "FineTune",
    "InnerLoopAlgorithm",
    "InnerLoopRecipe",
    "LearnedHeads",
    "LinearProbe",
    "LogisticRegression",
    "MetaSGD",
    "MultiTask",
    "NamedPrediction",
    "PlainPredictor",
    "PredictionSets",
    "Predictor",
    "Pretraining",
    "ProtoMAML",
    "ProtoNet",
    "Reptile",
    "Ridge",
    "SimpleShot",
    "Step",
    "Supervised",
    "TaskBatch",
    "TextLogistic",
    "TextPrototypes",
    "certify",
    "estimate",
    "load_predictor",
    "prediction_sets",
]
