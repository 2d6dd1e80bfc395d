"""The gradients of ProtoNet and of the ridge head equal those of their formulas, written out."""

import torch

from tests.algorithms.cases import TARGETS, episode_of, make_algorithm
from tests.algorithms.gradients_by_hand import all_targets, check, features_of


def distances(target, episode, net, cosine=None):
    x, y = features_of(net, dict(net.named_parameters()), episode.support.x), episode.support.y
    q = features_of(net, dict(net.named_parameters()), episode.query.x)
    if target.label_shape:
        columns = [
            x[y[:, label] == answer].mean(0) for answer in (0, 1) for label in range(y.shape[1])
        ]
    else:
        columns = [x[y == code].mean(0) for code in range(target.num_classes)]
    if cosine is None:
        return torch.stack([-(q - mean).square().sum(1) for mean in columns], 1)
    return cosine * torch.stack([torch.cosine_similarity(q, mean[None]) for mean in columns], 1)


@all_targets
def test_protonet(target):
    episode, kind = episode_of(TARGETS[target]), TARGETS[target]
    algorithm = make_algorithm("protonet", target)
    reference = kind.loss(
        kind.prototype_logits(distances(kind, episode, algorithm.backbone)), episode.query.y
    )
    check(algorithm, episode, reference)
    algorithm = make_algorithm("protonet-cosine", target)
    scores = distances(kind, episode, algorithm.backbone, algorithm.log_scale.exp())
    check(
        algorithm,
        episode,
        kind.loss(kind.prototype_logits(scores), episode.query.y),
        [algorithm.log_scale],
    )


@all_targets
def test_ridge(target):
    kind = TARGETS[target]
    episode = episode_of(kind)
    algorithm = make_algorithm("ridge", target)
    with torch.no_grad():
        algorithm.log_scale.add_(0.3)
        algorithm.log_strength.sub_(0.7)
    params = dict(algorithm.backbone.named_parameters())
    x, q = (
        features_of(algorithm.backbone, params, batch.x)
        for batch in (episode.support, episode.query)
    )
    codes = kind.regression_targets(episode.support.y).double()
    penalty = algorithm.log_strength.exp() * torch.eye(4, dtype=torch.float64)
    outputs = algorithm.log_scale.exp() * q @ torch.linalg.inv(x.T @ x + penalty) @ x.T @ codes
    reference = kind.loss(kind.regression_logits(outputs), episode.query.y)
    check(algorithm, episode, reference, [algorithm.log_scale, algorithm.log_strength])
