"""The table of kinds: what it names is there, and knowing it loads nothing heavy."""

import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import String

from core.db.models import Job, Trial
from core.kinds import DEFAULT, KINDS
from core.kinds.kind import Kind, resolve
from core.trials.methods import METHODS
from core.vocabulary import QUEUES

ROOT = Path(__file__).parents[2]
EVERY = [pytest.param(kind, id=name) for name, kind in KINDS.items()]


@pytest.mark.parametrize("kind", EVERY)
def test_every_phase_and_the_images_of_a_kind_are_functions_of_one_argument(kind: Kind) -> None:
    for dotted in (*(phase.run for phase in kind.phases), kind.images):
        found = resolve(dotted)
        assert len(inspect.signature(found).parameters) == 1, dotted


def length_of(model: type[Job] | type[Trial], column: str) -> int:
    kept = model.__table__.c[column].type
    assert isinstance(kept, String) and kept.length is not None
    return kept.length


@pytest.mark.parametrize("kind", EVERY)
def test_a_kind_fits_into_its_row(kind: Kind) -> None:
    lengths = {name: length_of(Job, name) for name in ("kind", "phase", "queue")}
    assert len(kind.name) <= lengths["kind"]
    names = [phase.name for phase in kind.phases]
    assert len(set(names)) == len(names) >= 1
    assert all(len(name) <= lengths["phase"] for name in names)
    assert {phase.queue for phase in kind.phases} <= set(QUEUES)
    for example in kind.examples:
        spec = kind.spec.model_validate(example)
        phases = kind.phases_of(spec)
        own = [phase.name for phase in phases]
        assert kind.after(own[-1], spec) is None
        assert [kind.after(one, spec) for one in own[:-1]] == list(phases[1:])
    with_all = (kind.phases_of(kind.spec.model_validate(example)) == kind.phases for example in kind.examples)
    assert any(with_all), "an example has every phase"


@pytest.mark.parametrize("kind", EVERY)
def test_the_examples_of_a_kind_are_what_it_takes(kind: Kind) -> None:
    assert kind.examples
    for example in kind.examples:
        kind.spec.model_validate(example)


def test_the_table_goes_by_the_names_in_it() -> None:
    assert {name: kind.name for name, kind in KINDS.items()} == {name: name for name in KINDS}
    assert DEFAULT in KINDS


@pytest.mark.parametrize("name", METHODS)
def test_every_method_has_its_function_and_fits_into_its_row(name: str) -> None:
    assert len(name) <= length_of(Trial, "method")
    if METHODS[name].of != "whole":
        assert callable(METHODS[name].function())


@pytest.mark.parametrize(
    "module",
    ["core.kinds", "core.trials.spec", "core.trials.methods", "core.trials.cost", "core.jobs.submission"],
)
def test_who_only_asks_loads_no_torch(module: str) -> None:
    script = f"import json, sys, {module}; print(json.dumps([*sys.modules]))"
    printed = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert {"torch", "numpy"} & set(json.loads(printed.stdout)) == set()
