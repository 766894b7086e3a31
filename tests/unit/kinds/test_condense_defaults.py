"""What is filled in where a condensation leaves it open, by data and recipe; and what older specs meant."""

import dataclasses

import pytest
from pydantic import ValidationError

from core.engine.config import CondenseConfig, EvaluateConfig
from core.engine.forms import FORMS
from core.engine.recipes import RECIPES
from core.kinds.condense.spec import CondenseSpec


def test_a_spec_older_than_protocols_was_evaluated_by_the_papers() -> None:
    stored = CondenseSpec(ipc=10).resolved(32, 50_000, 10).model_dump(mode="json")
    stored["evaluation"] |= {"protocol": None, "epochs": 1_000}
    del stored["form"], stored["objective"], stored["batch_synthetic"], stored["evaluation"]["protocol"]
    older = CondenseSpec.model_validate(stored)
    plan = older.trial_plan()
    assert plan.config(older.network, 100) == EvaluateConfig(network=older.network.config())
    assert plan.protocol_of(older.network) == "paper" and plan.set_ipc == plan.ipc == 10
    assert older.condense_config() == CondenseConfig(ipc=10, lr=1.0, network=older.network.config())


@pytest.mark.parametrize(
    ("form", "size", "found"),
    [
        (None, 32, "collage-2"), (None, 23, "pixels"),
        ("collage-3", 16, "collage-3"), ("pixels", 32, "pixels"),
    ],
)  # fmt: skip
def test_small_images_are_no_collages_unless_they_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, form: str | None, size: int, found: str
) -> None:
    monkeypatch.setitem(RECIPES, "fast", dataclasses.replace(RECIPES["fast"], form="collage-2"))
    spec = CondenseSpec.model_validate({"ipc": 2, "recipe": "fast", "form": form})
    resolved = spec.resolved(size, 500, 2)
    assert resolved.form == found
    assert resolved.trial_plan().set_ipc == 2 * FORMS[found].factor ** 2
    collages = found != "pixels"
    assert resolved.evaluation.baselines == ["random", *(["random-collage"] if collages else []), "whole"]


@pytest.mark.parametrize(
    ("ipc", "lost", "form"),
    [
        (50, 0.08, "collage-2"), (50, 0.13, "pixels"), (10, 0.13, "collage-2"), (11, 0.13, "pixels"),
        (50, None, "collage-2"),
    ],
)  # fmt: skip
def test_many_images_of_much_detail_are_no_collages_unless_they_are_asked_for(
    ipc: int, lost: float | None, form: str
) -> None:
    spec = CondenseSpec(recipe="dance-short", ipc=ipc)
    resolved = spec.resolved(28, 60_000, 10, lost)
    assert resolved.form == resolved.condense_config().form == form
    asked = CondenseSpec(recipe="dance-short", ipc=ipc, form="collage-2")
    assert asked.resolved(28, 60_000, 10, lost).form == "collage-2"


def test_a_spec_older_than_the_decay_still_means_the_same() -> None:
    stored = CondenseSpec(ipc=10).resolved(32, 50_000, 10).model_dump(mode="json")
    older = {name: value for name, value in stored.items() if name != "lr_decay"}
    config = CondenseSpec.model_validate(older).condense_config()
    assert config == CondenseSpec.model_validate(stored).condense_config()
    assert config.lr_decay == 0


@pytest.mark.parametrize(
    ("train_images", "ipc", "epochs"),
    [
        (60_000, 10, 20),  # 235 steps an epoch: twenty epochs are far more than 1,000 steps
        (78, 2, 1000),  # one step an epoch, as on the condensed set
        (1528, 10, 167),  # six steps an epoch
    ],
)
def test_the_whole_set_gets_no_fewer_steps(train_images: int, ipc: int, epochs: int) -> None:
    classes = 3 if train_images == 78 else 10
    asked = {"ipc": ipc, "evaluation": {"protocol": "paper"}}
    resolved = CondenseSpec.model_validate(asked).resolved(32, train_images, classes)
    assert resolved.evaluation.whole_epochs == epochs
    assert resolved.trial_plan().config(resolved.network, train_images, whole=True).epochs == epochs


@pytest.mark.parametrize(
    ("iterations", "points", "at"),
    [
        (1000, 0, []),
        (1000, 1, [500]),
        (1000, 4, [200, 400, 600, 800]),
        (1000, 2, [333, 667]),
        (3, 20, [1, 2]),  # neither of the images to start from, nor of the finished ones, nor one twice
        (1, 20, []),
    ],
)
def test_the_images_are_evaluated_evenly_on_the_way(iterations: int, points: int, at: list[int]) -> None:
    asked = {"ipc": 1, "iterations": iterations, "evaluation": {"points": points}}
    assert CondenseSpec.model_validate(asked).resolved(32, 50_000, 10).evaluated_at() == at


def test_by_default_only_the_finished_set_is_evaluated() -> None:
    assert CondenseSpec(ipc=1).resolved(32, 50_000, 10).evaluated_at() == []
    with pytest.raises(ValidationError, match="less than or equal to 20"):
        CondenseSpec.model_validate({"ipc": 1, "evaluation": {"points": 21}})
