import dataclasses

import pytest
import torch

from core.engine.augment import apply, draw
from core.engine.config import EvaluateConfig, NetworkConfig
from core.engine.cutmix import draw_cutmix
from core.engine.errors import OutOfMemory, TrainingDiverged
from core.engine.evaluate import Progress, Score, train_and_score
from core.engine.images import LabelledImages
from core.engine.networks.build import build
from core.engine.protocols.long import LONG
from core.engine.protocols.paper import PAPER
from core.engine.protocols.protocol import EvaluationProtocol
from core.engine.seeds import generator
from core.engine.state import synthetic_labels
from tests.support.limited import limit_convnet

from .problems import bright_quarters, random_images

CONFIG = EvaluateConfig(
    network=NetworkConfig(width=8, depth=2),
    epochs=20,
    protocol=dataclasses.replace(PAPER, batch=16, lr=0.02),
    augment="color_crop_scale",
)


def run(
    train: tuple[torch.Tensor, torch.Tensor] | LabelledImages,
    test: LabelledImages,
    config: EvaluateConfig = CONFIG,
    repeat: int = 0,
) -> tuple[list[Progress], Score]:
    progress = []
    steps = train_and_score(train, test, config, repeat)
    while True:
        try:
            progress.append(next(steps))
        except StopIteration as finished:
            return progress, finished.value


def as_tensors(real: LabelledImages) -> tuple[torch.Tensor, torch.Tensor]:
    everything = torch.arange(len(real))
    return real.normalised(everything, "cpu"), real.labels(everything, "cpu")


def test_an_easy_problem_is_learnt_and_shuffled_labels_are_not() -> None:
    train, test = bright_quarters(10, seed=1), bright_quarters(25, seed=2)
    _, score = run(train, test)
    assert score.accuracy > 0.8
    assert score.train_loss < 0.7
    images_NCHW, labels_N = as_tensors(train)
    shuffled_N = labels_N[torch.randperm(len(labels_N), generator=generator(0, 0, "test"))]
    _, control = run((images_NCHW, shuffled_N), test)
    assert control.accuracy < 0.6


def test_a_set_and_its_normalised_images_give_the_same_score() -> None:
    train, test = bright_quarters(5, seed=1), bright_quarters(5, seed=2)
    _, from_set = run(train, test)
    _, from_tensors = run(as_tensors(train), test)
    assert dataclasses.replace(from_set, seconds=0) == dataclasses.replace(from_tensors, seconds=0)


def test_counts_add_up_and_absent_classes_are_none() -> None:
    train, full = bright_quarters(5, seed=1), bright_quarters(6, seed=2)
    keep = (full.labels_N != 2).nonzero().flatten() if isinstance(full.labels_N, torch.Tensor) else None
    assert keep is not None and not isinstance(full.images_NHWC, torch.Tensor)
    test = LabelledImages(full.images_NHWC[keep.numpy()], full.labels_N[keep], full.mean, full.std, 4)
    _, score = run(train, test, dataclasses.replace(CONFIG, epochs=3))
    assert score.total == 18 and score.accuracy == score.correct / 18
    assert score.per_class[2] is None and score.confusion[2] == (0, 0, 0, 0)
    assert [sum(row) for row in score.confusion] == [6, 6, 0, 6]
    assert sum(6 * share for share in score.per_class if share is not None) == pytest.approx(score.correct)
    assert score.seconds > 0


def test_progress_counts_every_step_and_keeps_the_partial_batch() -> None:
    real = random_images((10, 10, 17))
    progress, _ = run(real, real, dataclasses.replace(CONFIG, epochs=2))
    assert [(p.epoch, p.step) for p in progress] == [(1, 1), (1, 2), (1, 3), (2, 4), (2, 5), (2, 6)]
    assert all((p.epochs, p.steps) == (2, 6) for p in progress)


def test_the_repeat_and_the_seed_decide_everything() -> None:
    train, test = random_images(), random_images(seed=1)
    short = dataclasses.replace(CONFIG, epochs=3, augment="color_crop_cutout_flip_scale_rotate")
    before = torch.get_rng_state()
    _, first = run(train, test, short)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(7)
    assert run(train, test, short)[1].train_loss == first.train_loss
    assert run(train, test, short, repeat=1)[1].train_loss != first.train_loss
    assert run(train, test, dataclasses.replace(short, seed=1))[1].train_loss != first.train_loss


def test_a_stop_leaves_nothing_to_clean_up() -> None:
    steps = train_and_score(random_images(), random_images(seed=1), CONFIG, 0)
    next(steps)
    steps.close()


def test_batch_norm_learns_too() -> None:
    train, test = bright_quarters(20, seed=1), bright_quarters(10, seed=2)
    config = dataclasses.replace(CONFIG, epochs=40, network=NetworkConfig(width=8, depth=2, norm="batch"))
    _, score = run(train, test, config)
    assert score.accuracy > 0.8


@pytest.mark.parametrize("kind", [PAPER, LONG], ids=["paper", "long"])
def test_training_is_the_protocol_step_by_step(kind: EvaluationProtocol) -> None:
    train, test = random_images((9, 9, 9), seed=1), random_images((30, 30, 30), seed=2)
    network_config = NetworkConfig(width=4, depth=2, norm="batch")
    protocol = dataclasses.replace(kind, batch=10, lr=0.1)
    config = EvaluateConfig(network=network_config, epochs=5, protocol=protocol, augment="crop_color", seed=3)
    _, score = run(train, test, config, repeat=2)

    images_NCHW, labels_N = as_tensors(train)
    network = build(network_config, 1, (16, 16), 3, generator(3, 2, "evaluation network"))
    velocity = [torch.zeros_like(p) for p in network.parameters()]
    rates = [0.1, 0.1, 0.01, 0.01, 0.01] if kind is PAPER else [0.1, 0.1, 0.1, 0.02, 0.004]
    step = mixes = 0
    for epoch in range(1, 6):
        order_N = torch.randperm(27, generator=generator(3, epoch, "evaluation order 2"))
        loss_sum = 0.0
        for first in (0, 10, 20):
            step += 1
            chosen = order_N[first : first + 10]
            x_BCHW, own, share = images_NCHW[chosen], labels_N[chosen], 0.0
            # The one takes one of them, the other both, in its own order.
            for n, strategy in enumerate(["crop_color"] if kind is PAPER else ["color", "crop"]):
                chance = generator(3, step, f"evaluation augmentation 2{f' {n}' if n else ''}")
                x_BCHW = apply(draw(strategy, chance, (16, 16), count=len(chosen)), x_BCHW)
            mix = draw_cutmix(kind.cutmix, generator(3, step, "evaluation mixing 2"), (16, 16), len(chosen))
            other = own
            if mix is not None:
                mixes += 1
                x_BCHW, other, share = mix.mixed(x_BCHW), own[mix.partners_B], mix.share
            logits = network(x_BCHW)
            loss = (1 - share) * torch.nn.functional.cross_entropy(logits, own)
            loss = loss + share * torch.nn.functional.cross_entropy(logits, other)
            gradients = torch.autograd.grad(loss, list(network.parameters()))
            with torch.no_grad():
                for p, v, g in zip(network.parameters(), velocity, gradients, strict=True):
                    v.mul_(0.9).add_(g + 5e-4 * p)
                    p.sub_(rates[epoch - 1] * v)
            loss_sum += float(loss.detach()) * len(chosen)
    assert (mixes > 0) == (kind is LONG)
    network.eval()
    with torch.no_grad():
        right_N = network(as_tensors(test)[0]).argmax(dim=1) == test.labels(torch.arange(90), "cpu")
    assert score.train_loss == pytest.approx(loss_sum / 27, rel=1e-4)
    shares = [float(right_N[indices].double().mean()) for indices in test.indices_by_class]
    assert score.per_class == pytest.approx(shares)
    answers_N, labels_N = network(as_tensors(test)[0]).argmax(dim=1), test.labels(torch.arange(90), "cpu")
    for truth in range(3):
        for answer in range(3):
            count = int(((labels_N == truth) & (answers_N == answer)).sum())
            assert score.confusion[truth][answer] == count, "a row is a true class"


def test_memory_that_is_short_halves_the_batches_and_nothing_but_rounding_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    train, test = bright_quarters(10, seed=1), bright_quarters(25, seed=2)
    config = dataclasses.replace(CONFIG, epochs=4)
    progress, whole = run(train, test, config)
    assert {p.micro_batch for p in progress} == {None}
    # 40 images are two batches of 16 and one of 8.
    limit_convnet(monkeypatch, 5, after=4)
    progress, halved = run(train, test, config)
    assert [(p.step, p.micro_batch) for p in progress[:12]] == [
        *((step, None) for step in range(1, 5)),
        *((step, 4) for step in range(5, 13)),
    ]
    assert halved.train_loss == pytest.approx(whole.train_loss, rel=1e-4)
    assert halved.confusion == whole.confusion


def test_memory_that_runs_out_in_the_test_alone_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = random_images((3, 3, 3)), random_images((10, 10, 10), seed=1)
    config = dataclasses.replace(CONFIG, epochs=2)
    _, whole = run(train, test, config)
    limit_convnet(monkeypatch, 10)
    progress, halved = run(train, test, config)
    assert [(p.step, p.micro_batch) for p in progress] == [(1, None), (2, None), (2, 8)]
    assert halved.confusion == whole.confusion and halved.train_loss == whole.train_loss


def test_memory_that_no_halving_helps_is_an_error_that_says_where(monkeypatch: pytest.MonkeyPatch) -> None:
    train, test = random_images((9, 9)), random_images((9, 9), seed=1)
    limit_convnet(monkeypatch, 0)
    with pytest.raises(OutOfMemory, match=r"training of evaluation network 0 with a micro-batch of 1$"):
        run(train, test)
    limit_convnet(monkeypatch, 0, after=2)
    with pytest.raises(OutOfMemory, match=r"in the test of network 0 with a micro-batch of 1$"):
        run(train, test, dataclasses.replace(CONFIG, epochs=1))
    limit_convnet(monkeypatch, 10)
    coupled = dataclasses.replace(CONFIG, network=NetworkConfig(width=8, depth=2, norm="batch"))
    with pytest.raises(
        OutOfMemory, match="with a micro-batch of 16, which this network does not let be split"
    ):
        run(train, test, coupled)


def test_divergence_is_an_error() -> None:
    config = dataclasses.replace(
        CONFIG,
        protocol=dataclasses.replace(PAPER, lr=1e6),
        epochs=10,
        network=NetworkConfig(width=4, depth=1, norm="none"),
    )
    with pytest.raises(TrainingDiverged, match="training loss of evaluation network 0"):
        run(random_images(), random_images(seed=1), config)


def test_sets_that_do_not_fit_are_refused() -> None:
    test = random_images()
    images_NCHW, labels_N = as_tensors(test)
    with pytest.raises(ValueError, match=r"train: images are torch\.float64"):
        run((images_NCHW.double(), labels_N), test)
    with pytest.raises(ValueError, match=r"needs torch.float32 \(N, 1, 16, 16\)"):
        run((images_NCHW[:, :, :15], labels_N), test)
    with pytest.raises(ValueError, match="train: labels outside 0 to 2"):
        run((images_NCHW, labels_N + 1), test)
    with pytest.raises(ValueError, match=r"train: labels are torch\.int64"):
        run((images_NCHW, labels_N[1:]), test)
    with pytest.raises(ValueError, match="differ in channels, size"):
        run(random_images(channels=3), test)
    with pytest.raises(ValueError, match="different mean or std"):
        run(LabelledImages(test.images_NHWC, test.labels_N, (0.1,), (0.25,), 3), test)


def test_the_labels_of_a_condensed_set_fit_the_evaluation() -> None:
    real = bright_quarters(8, seed=1)
    selected = torch.cat([indices[:3] for indices in real.indices_by_class])
    train = (real.normalised(selected, "cpu"), synthetic_labels(real, 3))
    assert torch.equal(train[1], real.labels(selected, "cpu"))
    run(train, real, dataclasses.replace(CONFIG, epochs=1))
