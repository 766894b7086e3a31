"""The form of a new job, derived from the schema of the API: a setting that is added there appears here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ValidationError

from api.schemas.jobs import JobCreate
from api.web.forms import Fields
from core.engine.config import NETWORKS

#: What is asked for first; the rest is behind "all settings".
FIRST = ("ipc", "recipe", "augment", "evaluation.points", "evaluation.baselines", "name")
#: What people are told besides the schema's own words: what a choice costs.
_COSTS = {
    "evaluation.points": "Each costs as much as evaluating the finished set once; 0 gives no accuracy curve.",
    "evaluation.baselines": "Each trains as many networks as the condensed set does; on a large data set, "
    "whole costs by far the most.",
}
#: Not asked for: it is where the form was opened.
_GIVEN = ("dataset_id",)
_FURTHER_NETWORKS = "evaluation.cross_architecture"


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One field. `choices` of a select or of checkboxes; `default` is what holds if it is left as it is."""

    name: str
    kind: Literal["number", "text", "select", "checkboxes"]
    help: str
    default: Any = None
    required: bool = False
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    whole: bool = False


def settings() -> list[Setting]:
    """Of the whole form, those of nested objects named with a dot."""
    schema = JobCreate.model_json_schema()
    return [one for one in _settings_of(schema, schema["$defs"], "") if one.name not in _GIVEN]


def _settings_of(schema: dict[str, Any], definitions: dict[str, Any], prefix: str) -> Iterator[Setting]:
    required = schema.get("required", ())
    for name, described in schema["properties"].items():
        nested = described.get("$ref") or next(
            (one["$ref"] for one in described.get("allOf", ()) if "$ref" in one), None
        )
        if nested:
            yield from _settings_of(definitions[nested.rpartition("/")[2]], definitions, f"{prefix}{name}.")
            continue
        yield _setting(prefix + name, described, required=name in required)


def _setting(name: str, described: dict[str, Any], *, required: bool) -> Setting:
    kinds = [one for one in described.get("anyOf", [described]) if one.get("type") != "null"]
    [kind] = kinds
    common: dict[str, Any] = {
        "name": name,
        "help": " ".join((described.get("description", "").replace("`", ""), _COSTS.get(name, ""))).strip(),
        "default": described.get("default"),
        "required": required,
    }
    if name == _FURTHER_NETWORKS:
        return Setting(kind="checkboxes", choices=tuple(NETWORKS), **common)
    if kind.get("type") == "array":
        return Setting(kind="checkboxes", choices=tuple(kind["items"]["enum"]), **common)
    if "enum" in kind:
        return Setting(kind="select", choices=tuple(kind["enum"]), **common)
    if kind.get("type") in ("integer", "number"):
        return Setting(
            kind="number",
            minimum=kind.get("minimum"),
            maximum=kind.get("maximum"),
            whole=kind["type"] == "integer",
            **common,
        )
    return Setting(kind="text", **common)


def values_of(form: Fields) -> dict[str, str | list[str]]:
    """What was sent, by setting, to fill the form in again. Of checkboxes a list.

    Raises:
        InvalidRequest: a setting is given twice.
    """
    return {
        one.name: form.all(one.name) if one.kind == "checkboxes" else form.one(one.name) for one in settings()
    }


def parse(values: Mapping[str, str | list[str]], dataset_id: str) -> tuple[JobCreate | None, dict[str, str]]:
    """The job that is asked for, or by setting what is wrong with it."""
    body: dict[str, Any] = {"dataset_id": dataset_id}
    for name, value in values.items():
        if value == "":
            continue
        inside = body
        *parents, last = name.split(".")
        for parent in parents:
            inside = inside.setdefault(parent, {})
        inside[last] = [{"name": one} for one in value] if name == _FURTHER_NETWORKS else value
    try:
        return JobCreate.model_validate(body), {}
    except ValidationError as error:
        faults: dict[str, str] = {}
        for fault in error.errors():
            place = ".".join(str(part) for part in fault["loc"] if isinstance(part, str))
            faults.setdefault(place, str(fault["msg"]).removeprefix("Value error, "))
        return None, faults
