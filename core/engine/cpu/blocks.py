"""ConvNet's usual blocks on a CPU: each of them one compiled function forward and one back.

The same as convolution, instance norm, ReLU and average pooling of torch, to rounding: three to four times as
fast, because a Winograd convolution multiplies a quarter as often and because nothing between convolution and
pooling leaves the processor's cache. `ConvNet.blocks` is the plain version, and the oracle of the test.
"""

import ctypes
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.weak import WeakTensorKeyDictionary

from core.engine.cpu.library import Block, library, slice_width

POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)
"""Winograd's, and infinity: those of winograd.h."""

MOST_ROWS = 8
"""The largest ROWS of winograd.h, to whose multiple the first block's gradient is padded."""


def usable(width: int, x_NCHW: Tensor) -> bool:
    """Whether `embed` can take such images through blocks so wide."""
    # Inside torch.compile and torch.func's transforms a tensor has no memory to point to.
    if torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is not None:
        return False
    plain = x_NCHW.device.type == "cpu" and x_NCHW.dtype == torch.float32
    exact = plain and not torch.is_autocast_enabled("cpu")
    return exact and slice_width() > 0 and width % slice_width() == 0


def embed(blocks: nn.Sequential, x_NCHW: Tensor) -> Tensor:
    """The flattened last one of `maps`: (N, features)."""
    *_, last_NCHW = maps(blocks, x_NCHW)
    return last_NCHW.flatten(1)


def maps(blocks: nn.Sequential, x_NCHW: Tensor) -> Iterator[Tensor]:
    """The map NCHW behind each block of convolution 3x3, instance norm, ReLU and AvgPool2x2.

    Differentiable in the images and all parameters but the convolutions' biases, which do nothing before an
    instance norm and get no gradient.
    """
    convolutions = [layer for layer in blocks if isinstance(layer, nn.Conv2d)]
    norms = [layer for layer in blocks if isinstance(layer, nn.GroupNorm)]
    out: Tensor = x_NCHW
    for n, (convolution, norm) in enumerate(zip(convolutions, norms, strict=True)):
        out = _ConvBlock.apply(out, convolution.weight, norm.weight, norm.bias, norm.eps, n == 0)
        yield out.permute(0, 3, 1, 2)


class _ConvBlock(torch.autograd.Function):
    """From maps NHWC, or from images NCHW in the first block, to maps NHWC of half the height and width."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, gamma: Tensor, beta: Tensor, eps: float, first: bool
    ) -> Tensor:
        x = x.contiguous()
        count, height, width = len(x), *(x.shape[2:] if first else x.shape[1:3])
        out = torch.empty(count, height // 2, width // 2, len(weight))
        tensors = {"x": x, "out": out}
        if any(ctx.needs_input_grad):
            tensors["kept"] = torch.empty(count, height, width, len(weight))
            tensors["inverse"] = torch.empty(count, len(weight))
        ctx.geometry = (height, width, weight.shape[1], len(weight), eps)
        ctx.first = first
        packed = _image_weight(weight) if first else _points_weight(weight)
        fixed = {"weight": packed, "gamma": gamma, "beta": beta}
        _run("image_forward" if first else "block_forward", ctx.geometry, fixed, tensors)
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(x, weight, gamma, beta, tensors["kept"], tensors["inverse"])
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dout: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, gamma, beta, kept, inverse = ctx.saved_tensors
        dgamma, dbeta = torch.empty_like(inverse), torch.empty_like(inverse)
        tensors = {"x": x, "kept": kept, "inverse": inverse, "dgamma": dgamma, "dbeta": dbeta}
        tensors["dout"] = dout.contiguous()
        fixed = {"gamma": gamma, "beta": beta}
        wants_x, wants_weight = ctx.needs_input_grad[:2]
        if wants_x:
            tensors["dx"] = torch.zeros_like(x)
            fixed["weight"] = _image_weight_back(weight) if ctx.first else _points_weight(_turned(weight))
        sums: list[Tensor] = []
        if wants_weight:
            taps = -(-9 * weight.shape[1] // MOST_ROWS) * MOST_ROWS
            shape = (taps, len(weight)) if ctx.first else (36, weight.shape[1], len(weight))
            sums = [torch.zeros(shape) for _ in range(_parts(len(x)))]
        _run("image_backward" if ctx.first else "block_backward", ctx.geometry, fixed, tensors, sums)
        dweight = None
        if wants_weight:
            total = torch.stack(sums).sum(dim=0)
            dweight = _image_gradient(total, weight) if ctx.first else _points_gradient(total, weight)
        return tensors.get("dx"), dweight, dgamma.sum(dim=0), dbeta.sum(dim=0), None, None


def _run(
    name: str,
    geometry: tuple[int, int, int, int, float],
    fixed: dict[str, Tensor],
    by_image: dict[str, Tensor],
    sums: list[Tensor] | None = None,
) -> None:
    """Call the library's function in as many threads as torch would use, each on its share of the images."""
    loaded = library()
    assert loaded is not None, "usable() was not asked"
    function: Callable[[Any], None] = getattr(loaded, name)
    height, width, channels, out_channels, eps = geometry
    count = len(by_image["x"])
    parts = _parts(count)
    needed = loaded.scratch_size(height, width, channels, out_channels)
    constant = {field: tensor.contiguous() for field, tensor in fixed.items()}

    def work(part: int) -> None:
        start, end = part * count // parts, (part + 1) * count // parts
        scratch = torch.empty(needed)
        pointers = {field: tensor.data_ptr() for field, tensor in constant.items()}
        pointers |= {field: tensor[start:end].data_ptr() for field, tensor in by_image.items()}
        if sums:
            pointers["dweight"] = sums[part].data_ptr()
        block = Block(
            count=end - start, h=height, w=width, c=channels, k=out_channels, eps=eps,
            scratch=scratch.data_ptr(), **pointers,
        )  # fmt: skip
        function(ctypes.byref(block))

    if parts <= 1:
        work(0)
    else:
        list(_threads(parts).map(work, range(parts)))


def _parts(count: int) -> int:
    return max(1, min(torch.get_num_threads(), count))


@functools.cache
def _threads(count: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count, thread_name_prefix="convblock")


def _transform() -> Tensor:
    """From a kernel's 9 values to its 36 points: (36, 9), the Kronecker square of Winograd's matrix G."""
    rows = []
    for p in POINTS:
        scale = 1.0
        for other in POINTS:
            scale *= p - other if other != p else 1.0
        rows.append([1 / scale, p / scale, p * p / scale])
    # Named, for the library takes its address: this module may be loaded where another one is the default.
    one = torch.tensor([*rows, [0.0, 0.0, 1.0]], dtype=torch.float64, device="cpu")
    return torch.kron(one, one).float()


_G_P9 = _transform()
_PACKED = WeakTensorKeyDictionary()
"""From a weight to (its version, its points): one network embeds many batches."""


def _points_weight(weight_KCYX: Tensor) -> Tensor:
    """[K / SLICE][36][C][SLICE]."""
    version, packed = _PACKED.get(weight_KCYX, (None, None))  # type: ignore[no-untyped-call]
    if packed is None or version != weight_KCYX._version:
        outs, ins = weight_KCYX.shape[:2]
        taps_9N = weight_KCYX.detach().permute(2, 3, 1, 0).reshape(9, ins * outs)
        points = (_G_P9 @ taps_9N).view(36, ins, outs // slice_width(), slice_width())
        packed = points.permute(2, 0, 1, 3).contiguous()
        _PACKED[weight_KCYX] = (weight_KCYX._version, packed)
    assert isinstance(packed, Tensor)
    return packed


def _points_gradient(points_PCK: Tensor, weight_KCYX: Tensor) -> Tensor:
    outs, ins = weight_KCYX.shape[:2]
    return (_G_P9.T @ points_PCK.view(36, ins * outs)).view(3, 3, ins, outs).permute(3, 2, 0, 1).contiguous()


def _turned(weight_KCYX: Tensor) -> Tensor:
    return weight_KCYX.detach().flip(2, 3).transpose(0, 1)


def _image_weight(weight_KCYX: Tensor) -> Tensor:
    """[K / SLICE][9 C][SLICE]."""
    return weight_KCYX.detach().reshape(-1, slice_width(), 9 * weight_KCYX.shape[1]).permute(0, 2, 1)


def _image_weight_back(weight_KCYX: Tensor) -> Tensor:
    """[9 C / SLICE, rounded up][K][SLICE]."""
    outs, taps = len(weight_KCYX), 9 * weight_KCYX.shape[1]
    slices = -(-taps // slice_width())
    padded = torch.zeros(outs, slices * slice_width())
    padded[:, :taps] = weight_KCYX.detach().reshape(outs, taps)
    return padded.view(outs, slices, slice_width()).permute(1, 0, 2)


def _image_gradient(taps_TK: Tensor, weight_KCYX: Tensor) -> Tensor:
    return taps_TK[: 9 * weight_KCYX.shape[1]].T.reshape(weight_KCYX.shape).contiguous()
