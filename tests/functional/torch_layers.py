"""Every layer of torch.nn with inputs that it takes, and what becomes of it in a pure network."""

import torch
from torch import nn

GENERATOR = torch.Generator()


def numbers(*shape):
    return torch.randn(*shape, generator=GENERATOR, dtype=torch.float64)


def whole(count, *shape):
    return torch.randint(count, shape, generator=GENERATOR)


def _by_axes(**layers):
    """Layers for one, two and three axes of places."""
    return {
        f"{name}{axes}d": (args, {}, lambda axes=axes: (numbers(3, 4, *[6] * axes),))
        for name, args in layers.items()
        for axes in (1, 2, 3)
    }


def _elementwise(*names, args=()):
    return {name: (args, {}, lambda: (numbers(3, 4, 6),)) for name in names}


def _losses(inputs, *names, **options):
    return dict.fromkeys(names, ((), options, inputs))


def _pair():
    return numbers(5, 4), numbers(5, 4)


def _signs():
    return numbers(5, 4), 2.0 * whole(2, 5, 4) - 1.0


def _classes():
    return numbers(5, 4), whole(4, 5)


def _image():
    return (numbers(2, 4, 6, 6),)


def _sequence():
    return (numbers(5, 2, 4),)


def _two_sequences():
    return numbers(5, 2, 4), numbers(5, 2, 4)


EXACT = {
    **_by_axes(AvgPool=(2,), MaxPool=(2,), LPPool=(2, 2)),
    **_by_axes(AdaptiveAvgPool=(2,), AdaptiveMaxPool=(2,)),
    **_by_axes(CircularPad=(1,), ReflectionPad=(1,), ReplicationPad=(1,)),
    **_by_axes(ConstantPad=(1, 2.0), ZeroPad=(1,)),
    **_by_axes(Conv=(4, 3, 2), ConvTranspose=(4, 3, 2)),
    **_by_axes(BatchNorm=(4,), InstanceNorm=(4,)),
    **_by_axes(LazyConv=(3, 2), LazyConvTranspose=(3, 2)),
    **_by_axes(LazyBatchNorm=(), LazyInstanceNorm=()),
    **_elementwise("CELU", "ELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh"),
    **_elementwise("Identity", "LeakyReLU", "LogSigmoid", "Mish", "PReLU", "ReLU", "ReLU6"),
    **_elementwise("SELU", "SiLU", "Sigmoid", "Softplus", "Softshrink", "Softsign", "Tanh"),
    **_elementwise("Tanhshrink", "Flatten"),
    **_elementwise("GLU", "LogSoftmax", "Softmax", "Softmin", args=(1,)),
    **_elementwise("LayerNorm", "RMSNorm", args=(6,)),
    **_elementwise("GroupNorm", args=(2, 4)),
    **_elementwise("Threshold", args=(0.1, 20.0)),
    **_elementwise("LocalResponseNorm", args=(2,)),
    **_elementwise("Linear", args=(6, 3)),
    **_elementwise("LazyLinear", args=(3,)),
    **_elementwise("Unflatten", args=(1, (2, 2))),
    "Softmax2d": ((), {}, _image),
    "ChannelShuffle": ((2,), {}, _image),
    "CrossMapLRN2d": ((2,), {}, lambda: (numbers(2, 4, 6, 6).float(),)),
    "PixelShuffle": ((2,), {}, _image),
    "PixelUnshuffle": ((2,), {}, _image),
    "Unfold": ((2,), {}, _image),
    "Fold": (((4, 4), 2), {}, lambda: (numbers(2, 8, 9),)),
    "Upsample": ((), {"scale_factor": 2}, _image),
    "UpsamplingBilinear2d": ((), {"scale_factor": 2}, _image),
    "UpsamplingNearest2d": ((), {"scale_factor": 2}, _image),
    "SyncBatchNorm": ((4,), {}, _image),
    "Bilinear": ((4, 4, 3), {}, _pair),
    "CosineSimilarity": ((), {}, _pair),
    "PairwiseDistance": ((), {}, _pair),
    "Embedding": ((7, 3), {}, lambda: (whole(7, 5),)),
    "EmbeddingBag": ((7, 3), {}, lambda: (whole(7, 5, 2),)),
    "RNN": ((4, 3), {}, _sequence),
    "GRU": ((4, 3), {}, _sequence),
    "LSTM": ((4, 3), {}, _sequence),
    "RNNCell": ((4, 3), {}, lambda: (numbers(5, 4),)),
    "GRUCell": ((4, 3), {}, lambda: (numbers(5, 4),)),
    "LSTMCell": ((4, 3), {}, lambda: (numbers(5, 4),)),
    "MultiheadAttention": ((4, 2), {}, lambda: (numbers(5, 2, 4),) * 3),
    "Transformer": ((4, 2, 1, 1, 8, 0.0), {}, _two_sequences),
    "TransformerEncoderLayer": ((4, 2, 8, 0.0), {}, _sequence),
    "TransformerDecoderLayer": ((4, 2, 8, 0.0), {}, _two_sequences),
    "TransformerEncoder": (
        (nn.TransformerEncoderLayer(4, 2, 8, 0.0), 2),
        {"enable_nested_tensor": False},
        _sequence,
    ),
    "TransformerDecoder": ((nn.TransformerDecoderLayer(4, 2, 8, 0.0), 2), {}, _two_sequences),
    "MaxUnpool1d": ((2,), {}, lambda: (numbers(2, 4, 2), torch.tensor([0, 2]).expand(2, 4, 2))),
    "MaxUnpool2d": (
        (2,),
        {},
        lambda: (numbers(2, 4, 1, 2), torch.tensor([[0, 3]]).expand(2, 4, 1, 2)),
    ),
    "MaxUnpool3d": (
        (2,),
        {},
        lambda: (numbers(2, 4, 1, 1, 2), torch.tensor([[[0, 3]]]).expand(2, 4, 1, 1, 2)),
    ),
    "Sequential": ((nn.Linear(6, 3), nn.Tanh()), {}, lambda: (numbers(3, 4, 6),)),
    **_losses(_pair, "HuberLoss", "L1Loss", "MSELoss"),
    **_losses(
        lambda: (numbers(5, 4).log_softmax(1), numbers(5, 4).softmax(1)),
        "KLDivLoss",
        reduction="batchmean",
    ),
    **_losses(lambda: (*_pair(), torch.ones(5, 4)), "GaussianNLLLoss"),
    **_losses(_pair, "PoissonNLLLoss", "SmoothL1Loss"),
    **_losses(lambda: (torch.sigmoid(numbers(5, 4)), torch.sigmoid(numbers(5, 4))), "BCELoss"),
    **_losses(_signs, "HingeEmbeddingLoss", "SoftMarginLoss"),
    **_losses(lambda: (numbers(5, 4), torch.sigmoid(numbers(5, 4))), "BCEWithLogitsLoss"),
    **_losses(_classes, "CrossEntropyLoss", "MultiMarginLoss", "NLLLoss", "NLLLoss2d"),
    **_losses(lambda: (numbers(5, 4), whole(2, 5, 4)), "MultiLabelSoftMarginLoss"),
    **_losses(lambda: (numbers(5, 4), whole(4, 5, 4)), "MultiLabelMarginLoss"),
    **_losses(lambda: (*_pair(), 2.0 * whole(2, 5) - 1.0), "CosineEmbeddingLoss"),
    **_losses(lambda: (*_pair(), torch.ones(5, 4)), "MarginRankingLoss"),
    **_losses(
        lambda: (*_pair(), numbers(5, 4)), "TripletMarginLoss", "TripletMarginWithDistanceLoss"
    ),
    "CTCLoss": (
        (),
        {},
        lambda: (
            numbers(6, 2, 4).log_softmax(2),
            1 + whole(3, 2, 3),
            torch.full((2,), 6),
            torch.full((2,), 3),
        ),
    ),
    "AdaptiveLogSoftmaxWithLoss": (
        (4, 6, [2, 4]),
        {"div_value": 1.0},
        lambda: (numbers(5, 4), whole(6, 5)),
    ),
    "LinearCrossEntropyLoss": ((4, 6), {}, lambda: (numbers(5, 4), whole(6, 5))),
}

RANDOM = {
    **_elementwise("Dropout", "AlphaDropout", "RReLU"),
    "Dropout1d": ((), {}, lambda: (numbers(3, 4, 6),)),
    "Dropout2d": ((), {}, _image),
    "Dropout3d": ((), {}, lambda: (numbers(2, 3, 4, 4, 4),)),
    "FeatureAlphaDropout": ((), {}, _image),
}
"""Exact given their random numbers, which `test_random_layers.py` compares with formulas."""

REFUSED = {
    "FractionalMaxPool2d": ((2,), {"output_ratio": 0.5}, _image),
    "FractionalMaxPool3d": ((2,), {"output_ratio": 0.5}, lambda: (numbers(2, 3, 6, 6, 6),)),
}
"""They draw in evaluation mode too."""

NO_LAYERS = {
    *("Container", "Module", "ModuleDict", "ModuleList", "ParameterDict", "ParameterList"),
    *("RNNBase", "RNNCellBase", "LinearCrossEntropyOptions"),
}


def build(name):
    """The layer in float64 and its inputs; a lazy one has seen them."""
    args, options, inputs_of = {**EXACT, **RANDOM, **REFUSED}[name]
    GENERATOR.manual_seed(0)
    inputs = inputs_of()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layer = getattr(nn, name)(*args, **options)
        if name.startswith("Lazy"):
            layer.double().eval()(*inputs)
    return layer.to(inputs[0].dtype if inputs[0].is_floating_point() else torch.float64), inputs
