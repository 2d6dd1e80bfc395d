"""Convolutions in which torch itself writes beyond its memory, in a process of their own."""

import subprocess
import sys

import pytest

CODE = """
import torch
from torch import nn
from torchcross.functional.network.ops import convolution

torch.set_num_threads(2)
generator = torch.Generator().manual_seed(0)
for inside, outside in [(4, 8), (6, 12), (8, 16), (8, 8)]:
    for _ in range(100):
        x = torch.randn(5, inside, 16, 16, generator=generator)
        weight = torch.randn(outside, inside, 1, 1, generator=generator).requires_grad_()
        y = convolution(
            x, weight, None, stride=[2, 2], padding=[0, 0], dilation=[1, 1], groups=1, plain=None
        )
        (grad,) = torch.autograd.grad(y.square().sum(), weight)
    images = x[:, :, ::2, ::2]
    exact = 2 * torch.einsum("nohw,nihw->oi", y.detach(), images)
    torch.testing.assert_close(grad[..., 0, 0], exact, rtol=1e-4, atol=1e-3)
"""


@pytest.mark.long
def test_strides_of_one_pixel_with_few_channels_do_not_corrupt_memory():
    ended = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
