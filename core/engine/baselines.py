"""Selections of real images that a condensed set is compared with."""

from collections.abc import Callable, Generator
from dataclasses import dataclass

import torch
from torch import Tensor

from core.engine.config import EvaluateConfig
from core.engine.errors import TrainingDiverged
from core.engine.evaluate import Progress, train_network
from core.engine.images import LabelledImages
from core.engine.memory import with_smaller_batches
from core.engine.sampling import sample
from core.engine.seeds import generator

EMBED_BATCH = 256
"""Images embedded at a time."""

Embed = Callable[[Tensor], Tensor]
"""From normalised float32 NCHW images to their features, (N, features)."""


@dataclass(frozen=True, kw_only=True)
class Selection:
    """Indices into the real set, class-major, ipc for each class that has images.

    Of a class smaller than ipc all images are taken, over and over: at random in an order drawn anew each
    time, else in that of their selection.
    """

    indices_N: Tensor


def random_selection(real: LabelledImages, ipc: int, seed: int) -> Selection:
    """`ipc` random images of each class; its labels are `state.synthetic_labels(real, ipc)`."""
    chance = generator(seed, 0, "random selection")
    chosen = [sample(real.indices_by_class[c], ipc, chance) for c in real.classes]
    return Selection(indices_N=torch.cat(chosen))


def train_feature_network(
    real: LabelledImages, config: EvaluateConfig, *, device: torch.device | str = "cpu"
) -> Generator[Progress, None, Embed]:
    """Train a network on the whole real set, yielding after every step; return its `embed`.

    It is none of the networks that evaluate: its random choices are its own. In evaluation mode, so an
    image's features depend on no other's.

    Raises:
        TrainingDiverged: the training loss is not finite.
        OutOfMemory: as `train_and_score`.
    """
    network, _ = yield from train_network(real, real.num_classes, config, 0, purpose="feature", device=device)
    return network.embed


def herding(real: LabelledImages, ipc: int, embed: Embed, *, device: torch.device | str = "cpu") -> Selection:
    """Per class, pick again and again the image that brings the mean of the picked closest to the class mean.

    Welling, "Herding dynamical weights to learn", ICML 2009, as in iCaRL (Rebuffi et al., arXiv 1611.07725)
    but on features as they are, not scaled to unit length, as Zhao et al. (arXiv 2006.05929) compare with.
    No image is picked twice before all are; of equally good ones the first. Nothing is random.

    Args:
        embed: features of unaugmented images. Those of one class are held at a time, about twice.

    Raises:
        TrainingDiverged: a feature is not finite.
        OutOfMemory: a class's features do not fit.
    """
    return _select(real, ipc, embed, device, _herding_order)


def k_center(
    real: LabelledImages, ipc: int, embed: Embed, *, device: torch.device | str = "cpu"
) -> Selection:
    """Per class, pick the image nearest the class mean, then always the one farthest from all picked.

    The greedy k-center of Sener & Savarese (arXiv 1708.00489), a 2-approximation of the smallest radius
    (Gonzalez 1985). Otherwise as `herding`.
    """
    return _select(real, ipc, embed, device, _k_center_order)


@torch.no_grad()
def _select(
    real: LabelledImages,
    ipc: int,
    embed: Embed,
    device: torch.device | str,
    order: Callable[[Tensor, int], Tensor],
) -> Selection:
    chosen = []
    for c in real.classes:
        indices_M = real.indices_by_class[c]

        def embedded(batch: int) -> Tensor:
            # Called before the next class gives this name to others, which is what B023 warns of.
            parts = torch.split(indices_M, batch)  # noqa: B023
            return torch.cat([embed(real.normalised(part, device)) for part in parts])

        what = f"the features of class {c}"
        features_MF, _ = with_smaller_batches(embedded, EMBED_BATCH, least=1, device=device, what=what)
        if not features_MF.isfinite().all():
            raise TrainingDiverged(f"the features of class {c} are not finite")
        # Distances stay what they are, and small differences are not lost beside a large common mean.
        features_MF -= features_MF.mean(dim=0)
        picks_K = order(features_MF, min(ipc, len(indices_M))).cpu()
        chosen.append(indices_M[picks_K].repeat(-(-ipc // len(picks_K)))[:ipc])
    return Selection(indices_N=torch.cat(chosen))


def _herding_order(centred_MF: Tensor, count: int) -> Tensor:
    """The first `count` ≤ M picks, int64, for features whose mean is 0."""
    squares_M = torch.linalg.vector_norm(centred_MF, dim=1).square()
    sum_F = torch.zeros_like(centred_MF[0])
    picks = []
    for _ in range(count):
        # |sum + feature|² without |sum|², which is the same for all. A pick stays on its device.
        pick = (squares_M + 2 * (centred_MF @ sum_F)).argmin(dim=0, keepdim=True)
        picks.append(pick)
        sum_F = sum_F + centred_MF[pick].squeeze(0)
        squares_M.index_fill_(0, pick, torch.inf)
    return torch.cat(picks)


def _k_center_order(centred_MF: Tensor, count: int) -> Tensor:
    """The first `count` ≤ M picks, int64, for features whose mean is 0."""
    pick = torch.linalg.vector_norm(centred_MF, dim=1).argmin(dim=0, keepdim=True)
    radius_M = torch.full_like(centred_MF[:, 0], torch.inf)
    picks = [pick]
    while len(picks) < count:
        # Not by a matrix product: by its rounding an image is some way off its own duplicate.
        distance_M1 = torch.cdist(centred_MF, centred_MF[pick], compute_mode="donot_use_mm_for_euclid_dist")
        radius_M = torch.minimum(radius_M, distance_M1.squeeze(1)).index_fill(0, pick, -1.0)
        pick = radius_M.argmax(dim=0, keepdim=True)
        picks.append(pick)
    return torch.cat(picks)
