"""The baseline of the benchmark: distribution matching as the official research code does it.

What it is: our own straight writing of that loop from its description, with the choices that decide its
speed. A network built on the CPU with torch's constructors in each iteration, real images held normalised as
float32, a class fully permuted for each draw, classes one after another, one matrix per image made in Python
for rotation and scale, torch's SGD on the pixels, and an evaluation that augments in the same way.

What it is not: the official code. Nothing of that was copied, no accuracy is claimed from here, and its
faults that do not concern speed are left out. It shares nothing with core.engine.

Method: Zhao & Bilen, "Dataset Condensation with Distribution Matching", arXiv 2110.04181.
"""

import math
import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

OPS = ("color", "crop", "cutout", "flip", "scale", "rotate")


class ConvNet(nn.Module):
    """Three blocks of convolution 3x3, instance norm, ReLU, average pooling; one linear layer."""

    def __init__(self, channels: int, num_classes: int, size: int, width: int = 128) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for _ in range(3):
            layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
            layers.append(nn.GroupNorm(width, width, affine=True))
            layers.append(nn.ReLU(inplace=True))
            layers.append(nn.AvgPool2d(kernel_size=2, stride=2))
            channels = width
        self.blocks = nn.Sequential(*layers)
        self.classifier = nn.Linear(width * (size // 8) ** 2, num_classes)

    def embed(self, x_NCHW: Tensor) -> Tensor:
        """(N, features)."""
        features_NCHW: Tensor = self.blocks(x_NCHW)
        return features_NCHW.view(len(features_NCHW), -1)

    def forward(self, x_NCHW: Tensor) -> Tensor:
        """Logits, (N, num_classes)."""
        logits: Tensor = self.classifier(self.embed(x_NCHW))
        return logits


def augment(x_NCHW: Tensor, seed: int | None) -> Tensor:
    """One op, drawn from OPS by numpy's global generator, and its parameters from torch's.

    Args:
        seed: set before the parameters are drawn and shared by all images, so that real and synthetic images
            get the same ones; None draws them for each image.
    """
    op = OPS[np.random.randint(len(OPS))]
    count, _, height, width = x_NCHW.shape
    # Matrices are made in Python, from numbers on the host.
    device = torch.device("cpu") if op in ("scale", "rotate") else x_NCHW.device

    def draw() -> Tensor:
        if seed is not None:
            torch.manual_seed(seed)
        values_N = torch.rand(count, device=device)
        return values_N[:1].expand(count) if seed is not None else values_N

    def each() -> Tensor:
        return draw().view(-1, 1, 1, 1)

    match op:
        case "color":
            x_NCHW = x_NCHW + (each() - 0.5)
            mean = x_NCHW.mean(dim=1, keepdim=True)
            x_NCHW = (x_NCHW - mean) * (each() * 2) + mean
            mean = x_NCHW.mean(dim=[1, 2, 3], keepdim=True)
            return (x_NCHW - mean) * (each() + 0.5) + mean
        case "crop":
            pad = int(height * 0.125 + 0.5)
            down_N, right_N = ((draw() * (2 * pad + 1)).long().view(-1, 1, 1) for _ in range(2))
            image, row, column = _grid(count, height, width, device)
            padded_NHWC = functional.pad(x_NCHW, (pad,) * 4).permute(0, 2, 3, 1).contiguous()
            return padded_NHWC[image, row + down_N, column + right_N].permute(0, 3, 1, 2).contiguous()
        case "cutout":
            hole = int(height * 0.5 + 0.5)
            centre_row_N, centre_column_N = ((draw() * (height + 1)).long().view(-1, 1, 1) for _ in range(2))
            image, row, column = _grid(count, hole, hole, device)
            row = (row + centre_row_N - hole // 2).clamp(0, height - 1)
            column = (column + centre_column_N - hole // 2).clamp(0, width - 1)
            mask_NHW = torch.ones(count, height, width, device=device)
            mask_NHW[image, row, column] = 0
            return x_NCHW * mask_NHW.unsqueeze(1)
        case "flip":
            return torch.where(each() < 0.5, x_NCHW.flip(3), x_NCHW)
        case "scale":
            low, high = 1 / 1.2, 1.2
            sx, sy = draw() * (high - low) + low, draw() * (high - low) + low
            return _resample(x_NCHW, [[[sx[i], 0, 0], [0, sy[i], 0]] for i in range(count)])
        case _:
            angle = (draw() - 0.5) * 2 * 15 / 180 * math.pi
            matrices = [
                [[torch.cos(a), torch.sin(-a), 0], [torch.sin(a), torch.cos(a), 0]] for a in angle.unbind()
            ]
            return _resample(x_NCHW, matrices)


def _grid(count: int, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    image, row, column = torch.meshgrid(
        *(torch.arange(side, device=device) for side in (count, height, width)), indexing="ij"
    )
    return image, row, column


def _resample(x_NCHW: Tensor, matrices: Sequence[list[list[Any]]]) -> Tensor:
    theta_N23 = torch.tensor(matrices, dtype=torch.float).to(x_NCHW.device)
    grid = functional.affine_grid(theta_N23, list(x_NCHW.shape), align_corners=True)
    resampled_NCHW: Tensor = functional.grid_sample(x_NCHW, grid, align_corners=True)
    return resampled_NCHW


def class_loss(embed: Callable[[Tensor], Tensor], real_NCHW: Tensor, synthetic_NCHW: Tensor) -> Tensor:
    """Squared distance of the two mean features, summed over the features: one class's share of the loss."""
    real_NF = embed(real_NCHW).detach()
    synthetic_NF = embed(synthetic_NCHW)
    return torch.sum((torch.mean(real_NF, dim=0) - torch.mean(synthetic_NF, dim=0)) ** 2)


def condense(images_NCHW: Tensor, labels_N: Tensor, ipc: int, batch_real: int = 256) -> Iterator[float]:
    """Iterate without end on normalised float32 images, yielding each iteration's loss.

    Works on the device of the images; labels are on the CPU.
    """
    num_classes = int(labels_N.max()) + 1
    channels, size = images_NCHW.shape[1], images_NCHW.shape[2]
    indices = [np.flatnonzero(labels_N.numpy() == c) for c in range(num_classes)]

    def real_images(c: int, count: int) -> Tensor:
        return images_NCHW[np.random.permutation(indices[c])[:count]]

    synthetic_NCHW = torch.cat([real_images(c, ipc) for c in range(num_classes)]).requires_grad_()
    optimiser = torch.optim.SGD([synthetic_NCHW], lr=1.0, momentum=0.5)
    while True:
        network = ConvNet(channels, num_classes, size).to(images_NCHW.device).train()
        for parameter in network.parameters():
            parameter.requires_grad = False
        loss = torch.zeros((), device=images_NCHW.device)
        for c in range(num_classes):
            real_NCHW = real_images(c, batch_real)
            own_NCHW = synthetic_NCHW[c * ipc : (c + 1) * ipc]
            # The same op and parameters on both sides, by setting the global generators back.
            seed, op_seed = random.randrange(100_000), random.randrange(100_000)  # noqa: S311 (no secret)
            np.random.seed(op_seed)
            real_NCHW = augment(real_NCHW, seed)
            np.random.seed(op_seed)
            own_NCHW = augment(own_NCHW, seed)
            np.random.seed(None)
            loss = loss + class_loss(network.embed, real_NCHW, own_NCHW)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        yield loss.item()


def evaluate(images_NCHW: Tensor, labels_N: Tensor, batch: int = 256) -> Iterator[float]:
    """Train a network without end on the given set, yielding each epoch's share of right answers."""
    network = ConvNet(images_NCHW.shape[1], int(labels_N.max()) + 1, images_NCHW.shape[2]).train()
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    loader = DataLoader(TensorDataset(images_NCHW, labels_N), batch_size=batch, shuffle=True, num_workers=0)
    while True:
        right = 0
        for x_BCHW, labels_B in loader:
            logits = network(augment(x_BCHW, None))
            loss = functional.cross_entropy(logits, labels_B)
            right += int(np.sum(np.argmax(logits.detach().numpy(), axis=1) == labels_B.numpy()))
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
        yield right / len(images_NCHW)
