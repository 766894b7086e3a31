"""What a job will cost, by arithmetic: the same as what torch counts."""

import numpy as np
import pytest

from core.engine.estimate import flops_per_iteration
from core.engine.images import LabelledImages
from core.jobs.cost import DataFacts, convnet, cost
from core.jobs.spec import JobSpec
from worker.evaluating import in_order


def facts(image_size: int, channels: int, classes: int = 10) -> DataFacts:
    return DataFacts(
        train_images=500, test_images=100, classes=classes, image_size=image_size, channels=channels
    )


def spec_of(data: DataFacts, **fields: object) -> JobSpec:
    spec = JobSpec.model_validate({"ipc": 7, **fields})
    return spec.resolved(data.image_size, data.train_images, data.classes)


@pytest.mark.parametrize(("channels", "side"), [(3, 32), (1, 28), (4, 64)])
@pytest.mark.parametrize("network", [{}, {"width": 32, "depth": 2, "pooling": "none"}, {"norm": "batch"}])
def test_an_iteration_costs_what_torch_counts(channels: int, side: int, network: dict[str, object]) -> None:
    real = LabelledImages(
        images_NHWC=np.zeros((20, side, side, channels), np.uint8),
        labels_N=np.arange(20) % 10,
        mean=(0.5,) * channels,
        std=(0.2,) * channels,
        num_classes=10,
    )
    data = facts(side, channels)
    spec = spec_of(data, recipe="fast", network=network)
    counted = flops_per_iteration(real, spec.condense_config())
    assert cost(spec, data).condensation_flops == counted * 1_000


def test_evaluation_grows_with_what_is_trained() -> None:
    data = facts(32, 3)
    alone = {"networks": 2, "epochs": 100, "baselines": []}
    one = cost(spec_of(data, evaluation=alone), data).evaluation_flops
    wide = cost(spec_of(data, evaluation={**alone, "networks": 4}), data).evaluation_flops
    assert wide == 2 * one
    beside = cost(spec_of(data, evaluation={**alone, "baselines": ["random"]}), data).evaluation_flops
    crossed = {**alone, "cross_architecture": [{"width": 128}]}
    assert beside > one
    assert cost(spec_of(data, evaluation=crossed), data).evaluation_flops == 2 * one
    whole = cost(
        spec_of(data, evaluation={**alone, "baselines": ["whole"], "whole_epochs": 50}), data
    ).evaluation_flops
    # 500 images × 50 epochs beside 70 images × 100 epochs of the set and of its PNG form, each three passes,
    # and 100 tests for each.
    assert (whole - one) * 2 * (3 * 70 * 100 + 100) == one * (3 * 500 * 50 + 100)


@pytest.mark.parametrize("baselines", [["whole"], ["herding"], ["k-center", "herding", "random", "whole"]])
def test_an_evaluation_costs_what_the_worker_trains(baselines: list[str]) -> None:
    """Network by network, as the worker's list of them has it."""
    data = facts(32, 3)
    evaluation = {"networks": 3, "epochs": 100, "whole_epochs": 4, "baselines": baselines}
    spec = spec_of(data, evaluation={**evaluation, "cross_architecture": [{"width": 32}, {"width": 256}]})
    forward = {
        on.network_name(): convnet(on.network_config(), data.image_size, data.channels)[0]
        for on in spec.architectures()
    }
    expected = 0
    for entry in in_order(spec):
        images = data.train_images if entry.method == "whole" else 70
        expected += forward[entry.network] * (3 * images * entry.config.epochs + data.test_images)
    by_features = len({"herding", "k-center"} & set(baselines))
    if by_features:
        expected += forward[spec.network_name()] * data.train_images * (3 * 4 + by_features)
    assert cost(spec, data).evaluation_flops == expected


def test_evaluations_on_the_way_cost_what_the_condensed_sets_own_costs() -> None:
    data = facts(32, 3)
    alone = {"networks": 2, "epochs": 100, "baselines": [], "cross_architecture": [{"width": 256}]}
    costs = [cost(spec_of(data, evaluation={**alone, "points": points}), data) for points in (0, 1, 3)]
    none, one, three = (found.evaluation_flops for found in costs)
    assert three - none == 3 * (one - none)
    own = cost(spec_of(data, evaluation={**alone, "cross_architecture": []}), data).evaluation_flops
    # On the job's own network only, and not of the PNG form.
    assert one - none == own // 2
    assert len({found.condensation_flops for found in costs}) == 1


def test_memory_grows_with_images_kept() -> None:
    data = facts(32, 3)
    small, large = (cost(spec_of(data, ipc=ipc), data).memory_bytes for ipc in (1, 50))
    assert large - small > 3 * 4 * 10 * 49 * 3 * 32 * 32


def test_another_network_is_not_guessed() -> None:
    data = facts(32, 3)
    with pytest.raises(ValueError, match="convnet only"):
        cost(spec_of(data, network={"name": "resnet18"}), data)
