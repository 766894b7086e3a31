"""The kind `evaluate`: what fits what, and what it costs."""

from typing import Any

import pytest

from core.errors import InvalidRequest
from core.kinds import KINDS
from core.kinds.evaluate import EVALUATE
from core.kinds.evaluate.spec import EvaluateSpec
from core.kinds.kind import DataFacts, Inputs

DATA = DataFacts(train_images=100, test_images=20, classes=2, image_size=32, channels=3)
SET: dict[str, Any] = {
    "id": "cs_1", "classes": ["cat", "dog"], "channels": 3, "image_size": 32, "stored": 5, "decoded": 5,
    "data_hash": None,
}  # fmt: skip


def fitted(spec: dict[str, Any] | None = None, **condensed: Any) -> EvaluateSpec:
    inputs = Inputs(data=DATA, class_names=("cat", "dog"), max_ipc=50, condensed=SET | condensed)
    found = EVALUATE.fit(EvaluateSpec.model_validate(spec or {}), inputs)
    assert isinstance(found, EvaluateSpec)
    return found


def test_it_is_a_kind() -> None:
    assert KINDS["evaluate"] is EVALUATE


def test_what_is_left_open_follows_the_sets() -> None:
    spec = fitted()
    assert (spec.ipc, [one.label() for one in spec.architectures]) == (5, ["convnet-d3-w128-instance"])
    assert spec.whole_epochs == 2_500, "as many steps on 100 images, two an epoch, as on ten"
    assert (spec.protocol, spec.baselines, spec.set_ipc) == ("auto", ["random", "whole"], 5)
    assert EVALUATE.label(spec) == "on convnet"
    assert fitted({"ipc": 3}).ipc == 3


def test_classes_may_stand_in_another_order() -> None:
    assert fitted(classes=["dog", "cat"]).ipc == 5


@pytest.mark.parametrize(
    ("condensed", "spec", "code", "pointer"),
    [
        ({"image_size": 16}, {}, "shape_mismatch", "/condensed_set_id"),
        ({"channels": 1}, {}, "shape_mismatch", "/condensed_set_id"),
        ({"classes": ["cat", "cow"]}, {}, "classes_differ", "/condensed_set_id"),
        ({"classes": None}, {}, "classes_differ", "/condensed_set_id"),
        ({"stored": 51, "decoded": 51}, {}, "ipc_too_large", "/ipc"),
        ({}, {"set_ipc": 6}, "set_ipc_differs", "/set_ipc"),
        ({}, {"architectures": [{"depth": 6}]}, "network_too_deep", "/architectures/0/depth"),
        ({}, {"architectures": [{}, {"width": 128}]}, "network_repeated", "/architectures/1"),
    ],
)
def test_what_does_not_fit_is_refused(
    condensed: dict[str, Any], spec: dict[str, Any], code: str, pointer: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        fitted(spec, **condensed)
    assert (refused.value.code, refused.value.pointer) == (code, pointer)


def test_without_baselines_of_few_images_any_number_of_them_fits() -> None:
    assert fitted({"baselines": ["whole"]}, stored=51, decoded=51).ipc == 51


@pytest.mark.parametrize(("decoded", "factor"), [(20, 2), (45, 3)])
def test_collages_are_compared_with_as_many_stored_images_and_with_collages(
    decoded: int, factor: int
) -> None:
    spec = fitted(stored=5, decoded=decoded)
    plan = spec.trial_plan()
    assert (plan.ipc, plan.set_ipc, plan.factor) == (5, decoded, factor)
    assert plan.baselines == ("random", "random-collage", "whole")
    per_class = {
        method: plan.trained_per_class(method) for method in ("condensed", "random", "random-collage")
    }
    assert per_class == {"condensed": decoded, "random": 5, "random-collage": decoded}


def test_the_cost_is_that_of_all_networks() -> None:
    one = EVALUATE.cost(fitted({"networks": 1, "baselines": []}), DATA)
    two = EVALUATE.cost(fitted({"networks": 2, "baselines": []}), DATA)
    assert two.flops == 2 * one.flops > 0
