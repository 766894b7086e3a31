"""What a job will cost, by arithmetic: the same as what torch counts."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from core.engine.networks import NETWORKS, forward_cost
from core.engine.networks.build import skeleton
from core.kinds.condense.cost import cost
from core.kinds.condense.spec import CondenseSpec
from core.kinds.kind import DataFacts


def facts(image_size: int, channels: int, classes: int = 10) -> DataFacts:
    return DataFacts(
        train_images=500, test_images=100, classes=classes, image_size=image_size, channels=channels
    )


def spec_of(data: DataFacts, **fields: object) -> CondenseSpec:
    spec = CondenseSpec.model_validate({"ipc": 7, **fields})
    return spec.resolved(data.image_size, data.train_images, data.classes)


@pytest.mark.parametrize(("channels", "side"), [(3, 32), (1, 28), (4, 64)])
@pytest.mark.parametrize(
    "network",
    [
        *({"name": name} for name in NETWORKS),
        {"width": 32, "depth": 2, "pooling": "none"},
        {"norm": "batch"},
    ],
)
def test_an_iteration_costs_what_torch_counts(channels: int, side: int, network: dict[str, object]) -> None:
    data = facts(side, channels)
    spec = spec_of(data, recipe="fast", network=network)
    built = skeleton(spec.network.config(), channels, (side, side), data.classes)
    with FlopCounterMode(display=False) as counted:
        built.embed(torch.empty(2, channels, side, side, device="meta"))
    # Real images forward; synthetic ones forward, and back to their pixels at the same cost.
    per_iteration = 10 * (64 + 2 * 7) * (counted.get_total_flops() // 2)
    assert cost(spec, data).flops_by_phase["condense"] == per_iteration * 1_000


def evaluation_flops(data: DataFacts, evaluation: dict[str, object]) -> int:
    return cost(spec_of(data, evaluation=evaluation), data).flops_by_phase["evaluate"]


def test_evaluation_grows_with_what_is_trained() -> None:
    data = facts(32, 3)
    alone: dict[str, object] = {"networks": 2, "epochs": 100, "baselines": []}
    one = evaluation_flops(data, alone)
    assert evaluation_flops(data, {**alone, "networks": 4}) == 2 * one
    assert evaluation_flops(data, {**alone, "baselines": ["random"]}) > one
    assert evaluation_flops(data, {**alone, "cross_architecture": [{"width": 128}]}) == 2 * one
    whole = evaluation_flops(data, {**alone, "baselines": ["whole"], "whole_epochs": 50})
    # 500 images × 50 epochs beside 70 images × 100 epochs of the set and of its PNG form, each three passes,
    # and 100 tests for each.
    assert (whole - one) * 2 * (3 * 70 * 100 + 100) == one * (3 * 500 * 50 + 100)


@pytest.mark.parametrize("baselines", [["whole"], ["herding"], ["k-center", "herding", "random", "whole"]])
def test_an_evaluation_costs_what_the_worker_trains(baselines: list[str]) -> None:
    """Network by network, as the worker's list of them has it."""
    data = facts(32, 3)
    evaluation = {"networks": 3, "epochs": 100, "whole_epochs": 4, "baselines": baselines}
    spec = spec_of(
        data, evaluation={**evaluation, "cross_architecture": [{"width": 32}, {"name": "resnet18"}]}
    )
    forward = {
        on.label(): forward_cost(on.config(), (32, 32), 3, data.classes).flops
        for on in spec.trial_plan().networks
    }
    expected = 0
    plan = spec.trial_plan()
    for entry in plan.entries():
        whole = entry.method == "whole"
        images = data.train_images if whole else 70
        epochs = plan.config(entry.network, images, whole=whole).epochs
        expected += forward[entry.network.label()] * (3 * images * epochs + data.test_images)
    by_features = len({"herding", "k-center"} & set(baselines))
    if by_features:
        expected += forward[spec.network.label()] * data.train_images * (3 * 4 + by_features)
    assert cost(spec, data).flops_by_phase["evaluate"] == expected


def test_what_collages_turn_into_is_what_is_trained_on() -> None:
    data = facts(32, 3)
    once: dict[str, object] = {"networks": 1, "epochs": 10, "baselines": []}
    plain = cost(spec_of(data, form="pixels", evaluation=once), data)
    collages = cost(spec_of(data, form="collage-2", evaluation=once), data)
    forward = forward_cost(spec_of(data).network.config(), (32, 32), 3, data.classes)
    more = plain.flops_by_phase["evaluate"] - 2 * data.test_images * forward.flops
    assert collages.flops_by_phase["evaluate"] - plain.flops_by_phase["evaluate"] == 3 * more
    # Of 28 images a class that the loop embeds and differentiates, 7 were stored.
    assert collages.flops_per_iteration - plain.flops_per_iteration == 10 * 2 * 21 * forward.embed
    fewer = cost(spec_of(data, form="collage-2", batch_synthetic=7, evaluation=once), data)
    assert fewer.flops_per_iteration == plain.flops_per_iteration
    beside = cost(spec_of(data, form="collage-2", evaluation=once | {"baselines": ["random-collage"]}), data)
    # The set is trained on as it is and as PNG files hold it.
    assert beside.flops_by_phase["evaluate"] * 2 == collages.flops_by_phase["evaluate"] * 3


def test_evaluations_on_the_way_cost_what_the_condensed_sets_own_costs() -> None:
    data = facts(32, 3)
    alone = {"networks": 2, "epochs": 100, "baselines": [], "cross_architecture": [{"width": 256}]}
    costs = [cost(spec_of(data, evaluation={**alone, "points": points}), data) for points in (0, 1, 3)]
    none, one, three = (found.flops for found in costs)
    assert three - none == 3 * (one - none)
    own = evaluation_flops(data, {**alone, "cross_architecture": []})
    # On the job's own network only, and not of the PNG form.
    assert one - none == own // 2
    # The networks are trained while the images are condensed.
    assert len({found.flops_by_phase["evaluate"] for found in costs}) == 1
    assert len({found.flops_per_iteration for found in costs}) == 1


def test_memory_grows_with_images_kept() -> None:
    data = facts(32, 3)
    small, large = (cost(spec_of(data, ipc=ipc), data).memory_bytes for ipc in (1, 50))
    assert large - small > 3 * 4 * 10 * 49 * 3 * 32 * 32


def test_every_network_has_a_cost_of_its_own() -> None:
    data = facts(32, 3)
    costs = {name: cost(spec_of(data, network={"name": name}), data) for name in NETWORKS}
    assert all(
        min(c.flops_per_iteration, c.flops_by_phase["evaluate"], c.memory_bytes) > 0 for c in costs.values()
    )
    assert len({c.flops_per_iteration for c in costs.values()}) == len(NETWORKS)
    # 1.1 GFLOP an image forward, eleven times ConvNet's.
    assert 10 < costs["resnet18"].flops / costs["convnet"].flops < 12
