"""Networks trained at once equal those trained one after another."""

from collections.abc import Generator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from core.engine.augment import draw
from core.engine.config import AUGMENT_ALL, EvaluateConfig, NetworkConfig
from core.engine.ensembles import apply_each, train_and_score_ensemble
from core.engine.errors import NumericalError
from core.engine.evaluate import Progress, Score, train_and_score
from core.engine.images import LabelledImages
from core.engine.networks.build import build
from core.engine.networks.ensemble import Ensemble
from core.engine.protocols.long import LONG
from core.engine.protocols.paper import PAPER
from core.engine.protocols.protocol import EvaluationProtocol
from core.engine.seeds import generator

from .problems import bright_quarters, random_images

ARCHITECTURES = [
    *(NetworkConfig(width=8, depth=2, norm=norm) for norm in ("none", "batch", "layer", "instance", "group")),
    NetworkConfig(width=8, depth=2, pooling="max", activation="swish"),
    NetworkConfig(name="mlp", norm="none"),
    NetworkConfig(name="lenet", norm="none"),
    *(NetworkConfig(name="alexnet", norm=norm) for norm in ("batch", "instance")),
    NetworkConfig(name="vgg11", norm="batch"),
    *(NetworkConfig(name="resnet18", norm=norm) for norm in ("batch", "instance")),
    NetworkConfig(name="resnet18ap", norm="batch"),
]


def finish(
    steps: Generator[Progress, None, Score] | Generator[Progress, None, list[Score]],
) -> tuple[list[Progress], Score | list[Score]]:
    progress = []
    while True:
        try:
            progress.append(next(steps))
        except StopIteration as finished:
            return progress, finished.value


@pytest.mark.parametrize("config", ARCHITECTURES, ids=lambda c: f"{c.name}-{c.norm}-{c.pooling}")
def test_logits_gradients_and_statistics_are_each_networks_own(config: NetworkConfig) -> None:
    networks = [build(config, 3, (16, 16), 4, generator(0, m, "network")) for m in range(3)]
    for network in networks:
        assert isinstance(network, nn.Module)
        network.double()
    ensemble = Ensemble(networks)
    x_MBCHW = torch.randn(3, 5, 3, 16, 16, dtype=torch.float64, generator=generator(1, 0, "images"))
    logits_MBL = ensemble(x_MBCHW)
    logits_MBL.square().sum().backward()
    theirs = dict(ensemble.network.named_parameters())
    buffers = dict(ensemble.network.named_buffers())
    for m, network in enumerate(networks):
        assert isinstance(network, nn.Module)
        own_BL = network(x_MBCHW[m])
        own_BL.square().sum().backward()
        assert torch.allclose(logits_MBL[m], own_BL, rtol=0, atol=1e-10)
        for (name, parameter), joined in zip(network.named_parameters(), theirs.values(), strict=True):
            assert parameter.grad is not None and joined.grad is not None
            share = joined.grad.reshape(3, *parameter.shape)[m]
            scale = max(1.0, float(parameter.grad.abs().max()))
            assert torch.allclose(share, parameter.grad, rtol=0, atol=1e-9 * scale), name
        for name, buffer in network.named_buffers():
            share = buffers[name].reshape(3, *buffer.shape)[m] if buffer.dim() else buffers[name]
            assert torch.allclose(share, buffer), name
    network, ensemble = networks[2].eval(), ensemble.eval()
    with torch.no_grad():
        assert torch.allclose(ensemble(x_MBCHW)[2], network(x_MBCHW[2]), rtol=0, atol=1e-10)


def test_a_width_that_the_compiled_blocks_can_do_gives_each_networks_own_logits() -> None:
    """In float32 on a CPU: the compiled blocks know no groups."""
    config = NetworkConfig(width=32, depth=2)
    networks = [build(config, 3, (16, 16), 4, generator(0, m, "network")) for m in range(2)]
    x_MBCHW = torch.randn(2, 5, 3, 16, 16, generator=generator(1, 0, "images"))
    with torch.no_grad():
        logits_MBL = Ensemble(networks)(x_MBCHW)
        for m, network in enumerate(networks):
            assert torch.allclose(logits_MBL[m], network(x_MBCHW[m]), rtol=0, atol=1e-4)


@pytest.mark.parametrize("norm", ["instance", "batch"])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("kind", [PAPER, LONG], ids=["paper", "long"])
def test_the_scores_are_those_of_one_after_another(norm: str, whole: bool, kind: EvaluationProtocol) -> None:
    real, test = bright_quarters(11, seed=1), bright_quarters(20, seed=2)
    everything = torch.arange(len(real))
    train: tuple[Tensor, Tensor] | LabelledImages = real
    if not whole:
        train = (real.normalised(everything, "cpu"), real.labels(everything, "cpu"))
    config = EvaluateConfig(
        network=NetworkConfig(width=8, depth=2, norm=norm),
        epochs=12 if kind is PAPER else 30,
        protocol=replace(kind, batch=16, lr=0.02),
        # A composed flip or shift would change the class of most of these images.
        augment=AUGMENT_ALL if kind is PAPER else "color_cutout",
        seed=4,
    )
    repeats = (0, 3, 1)
    alone = [finish(train_and_score(train, test, config, repeat)) for repeat in repeats]
    progress, scores = finish(train_and_score_ensemble(train, test, config, repeats))
    assert progress == alone[0][0]
    assert isinstance(scores, list)
    for score, (_, own) in zip(scores, alone, strict=True):
        assert isinstance(own, Score)
        assert score.train_loss == pytest.approx(own.train_loss, rel=1e-4)
        assert score.confusion == own.confusion
    assert len({score.train_loss for score in scores}) == 3, "networks of different numbers differ"
    assert min(score.accuracy for score in scores) > 0.5, "and have learnt something to differ in"


def test_batches_of_different_ops_keep_their_places() -> None:
    x_MBCHW = torch.randn(5, 4, 3, 16, 16, generator=generator(0, 0, "images"))
    ops = ("rotate", "flip", "rotate", "color", "flip")
    augmentations = [draw(op, generator(0, m, "test"), (16, 16), count=4) for m, op in enumerate(ops)]
    augmented_MBCHW = apply_each(augmentations, x_MBCHW)
    for m, augmentation in enumerate(augmentations):
        alone = apply_each([augmentation], x_MBCHW[m : m + 1])[0]
        assert torch.allclose(augmented_MBCHW[m], alone, rtol=0, atol=1e-6)
    assert torch.equal(apply_each([draw("none", generator(0, 0, "a"), (16, 16))] * 5, x_MBCHW), x_MBCHW)


def test_a_diverging_network_is_named() -> None:
    network, protocol = NetworkConfig(width=4, depth=1, norm="none"), replace(PAPER, batch=16, lr=1e6)
    config = EvaluateConfig(network=network, epochs=10, protocol=protocol)
    with pytest.raises(NumericalError, match="training loss of evaluation network 7"):
        finish(train_and_score_ensemble(_tensors(random_images()), random_images(seed=1), config, (7,)))


def test_repeats_are_different_numbers() -> None:
    for wrong in ((), (1, 1)):
        with pytest.raises(ValueError, match="repeats"):
            finish(train_and_score_ensemble(random_images(), random_images(), EvaluateConfig(), wrong))
    train, test = _tensors(random_images()), random_images(channels=3)
    with pytest.raises(ValueError, match="train: images are"):
        finish(train_and_score_ensemble(train, test, EvaluateConfig(), (0,)))


def _tensors(real: LabelledImages) -> tuple[Tensor, Tensor]:
    everything = torch.arange(len(real))
    return real.normalised(everything, "cpu"), real.labels(everything, "cpu")
