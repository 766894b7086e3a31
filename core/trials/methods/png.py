"""The condensed images after the way through 8-bit PNG files."""

from dataclasses import replace

import torch
from torch import Tensor

from core.engine.images import LabelledImages
from core.export import eight_bit


def make(images_NCHW: Tensor, labels_N: Tensor, real: LabelledImages) -> Tensor:
    """Images NCHW on the same device, normalised as any image file's pixels are."""
    levels_NHWC = eight_bit.levels_NHWC(images_NCHW.cpu().numpy(), real.mean, real.std)
    files = replace(real, images_NHWC=levels_NHWC, labels_N=labels_N)
    return files.normalised(torch.arange(len(files)), images_NCHW.device)
