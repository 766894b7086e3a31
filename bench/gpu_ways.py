"""The ways of computing an iteration that bench/gpu.py compares, and the reference that judges them."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.fixed_step import Draws, Embed, FixedStep
from core.engine.augment import apply, draw
from core.engine.seeds import generator


def set_arithmetic(*, deterministic: bool = True, tf32: bool = False) -> None:
    """For all that follows."""
    torch.use_deterministic_algorithms(deterministic)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cuda.matmul.allow_tf32 = tf32


def reference(step: FixedStep, images_NCHW: Tensor) -> tuple[Tensor, Tensor]:
    """Loss and gradient of iteration 0 in plain float32, class by class, from the paper's description."""
    set_arithmetic()
    real, config = step.real, step.config
    step.renew(0)
    draws, chance = step.draws(0), generator(config.seed, 0, "augmentation")
    leaf_NCHW = images_NCHW.detach().requires_grad_()
    loss = torch.zeros((), device=step.device)
    for c, own_NCHW in enumerate(torch.split(leaf_NCHW, config.ipc)):
        augmentation = draw(config.augment, chance, real.size)
        with torch.no_grad():
            real_NCHW = real.normalised(draws.indices_CB[c], step.device)
            real_F = step.network.embed(apply(augmentation, real_NCHW)).mean(dim=0)
        own_F = step.network.embed(apply(augmentation, own_NCHW)).mean(dim=0)
        loss = loss + (real_F - own_F).square().sum()
    (gradient_NCHW,) = torch.autograd.grad(loss, leaf_NCHW)
    return loss.detach(), gradient_NCHW


def errors(found: tuple[Tensor, Tensor], true: tuple[Tensor, Tensor]) -> dict[str, float]:
    """Relative, in the Euclidean norm.

    Raises:
        ArithmeticError: beyond what bfloat16's rounding explains.
    """
    loss, gradient = (float((f - t).norm() / t.norm()) for f, t in zip(found, true, strict=True))
    if not (loss < 0.05 and gradient < 0.2):
        raise ArithmeticError(f"wrong: loss off by {loss:.1e}, gradient by {gradient:.1e} of the reference")
    return {"loss_error": loss, "gradient_error": gradient}


def plain(embed: Embed) -> Embed:
    return embed


def mixed(embed: Embed) -> Embed:
    """Bfloat16 convolutions by autocast."""

    def embedding(x_NCHW: Tensor) -> Tensor:
        with torch.autocast(x_NCHW.device.type, dtype=torch.bfloat16):
            return embed(x_NCHW).float()

    return embedding


def channels_last(embed: Embed) -> Embed:
    return lambda x_NCHW: embed(x_NCHW.contiguous(memory_format=torch.channels_last))


def compiled(embed: Embed) -> Embed:
    # Each way has its own network under one code object, and the number of recompilations is limited.
    torch.compiler.reset()
    # Without graphs of its own: a later way captures the whole iteration.
    return torch.compile(embed, dynamic=False, fullgraph=True)


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way of computing an iteration of FixedStep."""

    name: str
    embed_with: Callable[[Embed], Embed]
    tf32: bool = False
    graph: bool = False


WAYS = (
    Way(name="fixed shapes, float32", embed_with=plain),
    Way(name="+ TF32", embed_with=plain, tf32=True),
    Way(name="+ bfloat16 convolutions", embed_with=mixed, tf32=True),
    Way(name="bfloat16, channels last", embed_with=lambda e: channels_last(mixed(e)), tf32=True),
    Way(name="bfloat16, in a CUDA graph", embed_with=mixed, tf32=True, graph=True),
    Way(name="bfloat16, compiled", embed_with=lambda e: compiled(mixed(e)), tf32=True),
    Way(
        name="bfloat16, compiled, in a CUDA graph",
        embed_with=lambda e: compiled(mixed(e)),
        tf32=True,
        graph=True,
    ),
    Way(
        name="bfloat16, channels last, compiled, in a CUDA graph",
        embed_with=lambda e: channels_last(compiled(mixed(e))),
        tf32=True,
        graph=True,
    ),
)


class Loop:
    """Iterations of a FixedStep with the engine's update of the pixels."""

    def __init__(self, step: FixedStep, images_NCHW: Tensor, *, graph: bool) -> None:
        self.step = step
        self.images_NCHW, self.velocity_NCHW = images_NCHW.clone(), torch.zeros_like(images_NCHW)
        draws = step.draws(0)
        self.device_draws = Draws(
            indices_CB=draws.indices_CB.to(step.device), packed_CK=draws.packed_CK.to(step.device)
        )
        self.replay: Callable[[], None] = self._once
        self.loss, self.gradient_NCHW = torch.zeros((), device=step.device), torch.zeros_like(images_NCHW)
        if graph:
            self.replay = self._captured()

    def _once(self) -> None:
        self.loss, self.gradient_NCHW = self.step.loss_and_gradient(self.device_draws, self.images_NCHW)
        self.velocity_NCHW.mul_(self.step.config.momentum).add_(self.gradient_NCHW)
        self.images_NCHW.sub_(self.step.config.resolved_lr * self.velocity_NCHW)

    def _captured(self) -> Callable[[], None]:
        kept = self.images_NCHW.clone()
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._once()
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self._once()
        self.images_NCHW.copy_(kept)
        self.velocity_NCHW.zero_()
        return graph.replay

    def first(self) -> tuple[Tensor, Tensor]:
        """Loss and gradient of iteration 0 by the very path that is timed; starts over after it."""
        kept = self.images_NCHW.clone()
        self.advance(0)
        result = self.loss.clone(), self.gradient_NCHW.clone()
        self.images_NCHW.copy_(kept)
        self.velocity_NCHW.zero_()
        return result

    def advance(self, iteration: int) -> None:
        draws = self.step.draws(iteration)
        # Not from pinned memory that is used again: the host runs ahead of the copies.
        self.device_draws.indices_CB.copy_(draws.indices_CB, non_blocking=True)
        self.device_draws.packed_CK.copy_(draws.packed_CK, non_blocking=True)
        self.step.renew(iteration)
        self.replay()

    def __iter__(self) -> Iterator[Tensor]:
        for iteration in itertools.count():
            self.advance(iteration)
            yield self.loss
