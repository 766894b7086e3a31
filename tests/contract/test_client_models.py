"""The client's models are the answers of openapi.json: a field that the API gets makes these red until the
client has it, and the other way round."""

import dataclasses
import inspect
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from api.app import create_app
from condensery import Client
from condensery.client import fields
from condensery.client.fields import Answer, Resource
from core.db.session import Database
from core.settings import Settings
from core.storage.local import LocalStorage
from tests.support.databases import empty_sqlite

MODELS = {
    name: model
    for name, model in vars(fields).items()
    if inspect.isclass(model) and issubclass(model, Answer) and model not in (Answer, Resource)
}
#: Components that the client gives out as JSON, or has no method for.
WITHOUT_MODEL = {
    "DeliveryOut", "ReportOut", "SnapshotOut", "UsualCostOut", "WebhookOut", "WorkerOut",
}  # fmt: skip
#: Fields of one model that are another component's.
ADDED = {"KeyOut": {"token": "KeyCreated"}}
TYPES: dict[Any, dict[str, str]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    datetime: {"type": "string", "format": "date-time"},
}


@pytest.fixture(scope="module")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("models")
    database = Database(empty_sqlite(folder))
    yield create_app(Settings(data_dir=folder), database, LocalStorage(folder)).openapi()["components"][
        "schemas"
    ]
    database.engine.dispose()


def component_of(model: type, schemas: dict[str, Any]) -> str:
    """JobFields is of JobOut, JobCounts of itself."""
    name = model.__name__.removesuffix("Fields")
    return f"{name}Out" if f"{name}Out" in schemas else name


def is_read_as(hint: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> bool:
    """Whether a field of this type holds all that the schema allows, and null only if that does."""
    kinds = _kinds(schema)
    hints = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    null = {"type": "null"}
    if (NoneType in hints) != (null in kinds):
        return False
    (hint,) = (one for one in hints if one is not NoneType)
    return all(_holds(hint, one, schemas) for one in kinds if one != null)


def _kinds(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """What a union is of."""
    parts = schema.get("anyOf") or schema.get("oneOf")
    return [schema] if parts is None else [kind for part in parts for kind in _kinds(part)]


def _holds(hint: Any, schema: dict[str, Any], schemas: dict[str, Any]) -> bool:
    name: str = schema.get("$ref", "").rpartition("/")[2]
    if dataclasses.is_dataclass(hint):
        assert isinstance(hint, type)
        return name == component_of(hint, schemas)
    found = schemas[name] if name else schema
    if get_origin(hint) is list:
        return "items" in found and is_read_as(get_args(hint)[0], found["items"], schemas)
    if get_origin(hint) is dict:
        values = get_args(hint)[1]
        inner = found.get("additionalProperties")
        typed = values is Any or (isinstance(inner, dict) and is_read_as(values, inner, schemas))
        return typed and bool(found.get("type") == "object")
    return {name: found[name] for name in ("type", "format") if name in found} == TYPES[hint]


def test_every_answer_of_the_api_has_a_model(schemas: dict[str, Any]) -> None:
    answers = {name for name in schemas if name.endswith("Out")}
    assert answers - WITHOUT_MODEL == {component_of(one, schemas) for one in MODELS.values()} & answers
    assert answers >= WITHOUT_MODEL


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_model_has_the_fields_of_its_component(name: str, schemas: dict[str, Any]) -> None:
    model = MODELS[name]
    component = component_of(model, schemas)
    properties = dict(schemas[component]["properties"])
    for field, other in ADDED.get(component, {}).items():
        properties[field] = {"anyOf": [schemas[other]["properties"][field], {"type": "null"}]}
    hints = get_type_hints(model)
    own = {one.name for one in dataclasses.fields(model)} - {"raw"}
    assert own == properties.keys()
    wrong = {one: str(hints[one]) for one in own if not is_read_as(hints[one], properties[one], schemas)}
    assert wrong == {}


def test_every_setting_can_be_given(schemas: dict[str, Any]) -> None:
    """By name; those of a job go through as they are."""
    with Client("http://condensery.example") as client:
        for component, method, others in (
            ("DatasetCreate", client.datasets.add, {"upload_id": "source", "path": "source"}),
            ("KeyCreate", client.keys.create, {}),
        ):
            wanted = {others.get(one, one) for one in schemas[component]["properties"]}
            assert {*inspect.signature(method).parameters} - {"progress"} == wanted
