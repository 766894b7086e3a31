"""Forms derived from the schemas of the API: a field that is added there appears here."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from api.web.forms import Fields
from core.engine.networks import NETWORK_NAMES

Model = TypeVar("Model", bound=BaseModel)

_BETWEEN_NUMBERS = re.compile(r"[\s,;]+")


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One field. `choices` of a select or of checkboxes, and their `labels` where people read something
    else; `default` is what holds if it is left as it is, and `empty` what a select calls that.
    `networks`: the choices are names of networks, which the API wants as objects."""

    name: str
    kind: Literal["number", "numbers", "text", "checkbox", "select", "checkboxes"]
    help: str
    label: str
    default: Any = None
    required: bool = False
    choices: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    empty: str = "default"
    minimum: float | None = None
    maximum: float | None = None
    whole: bool = False
    networks: bool = False


def settings_of(model: type[BaseModel]) -> list[Setting]:
    """Of the whole form, those of nested objects named with a dot."""
    schema = model.model_json_schema()
    return list(_settings_of(schema, schema.get("$defs", {}), ""))


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
        "help": described.get("description", "").replace("`", ""),
        "label": name.replace(".", " · ").replace("_", " "),
        "default": described.get("default"),
        "required": required,
    }
    items = kind.get("items", {})
    if "$ref" in items:
        return Setting(kind="checkboxes", choices=NETWORK_NAMES, networks=True, **common)
    if "enum" in items:
        return Setting(kind="checkboxes", choices=tuple(items["enum"]), **common)
    if items.get("type") in ("integer", "number"):
        return Setting(kind="numbers", **common)
    if "enum" in kind:
        return Setting(kind="select", choices=tuple(kind["enum"]), **common)
    if kind.get("type") == "boolean":
        return Setting(kind="checkbox", **common)
    if kind.get("type") in ("integer", "number"):
        return Setting(
            kind="number",
            minimum=kind.get("minimum"),
            maximum=kind.get("maximum"),
            whole=kind["type"] == "integer",
            **common,
        )
    return Setting(kind="text", **common)


def values_of(form: Fields, asked: Sequence[Setting]) -> dict[str, str | list[str]]:
    """What was sent, by setting, to fill the form in again. Of checkboxes a list.

    Raises:
        InvalidRequest: a setting is given twice.
    """
    return {one.name: form.all(one.name) if one.kind == "checkboxes" else form.one(one.name) for one in asked}


def parse(
    model: type[Model],
    values: Mapping[str, str | list[str]],
    asked: Sequence[Setting],
    given: Mapping[str, Any],
) -> tuple[Model | None, dict[str, str]]:
    """What is asked for, or by setting what is wrong with it.

    Args:
        given: fields of the model that the form does not ask for.
    """
    body: dict[str, Any] = dict(given)
    settings = {one.name: one for one in asked}
    for name, value in values.items():
        if value == "":
            continue
        inside = body
        *parents, last = name.split(".")
        for parent in parents:
            inside = inside.setdefault(parent, {})
        inside[last] = _sent(settings[name], value)
    try:
        return model.model_validate(body), {}
    except ValidationError as error:
        faults: dict[str, str] = {}
        for fault in error.errors():
            place = ".".join(str(part) for part in fault["loc"] if isinstance(part, str))
            text = str(fault["msg"]).removeprefix("Value error, ")
            if isinstance(fault["loc"][-1], int) and isinstance(fault["input"], str):
                text = f"{fault['input'][:40]}: {text}"  # which of several
            faults.setdefault(place, text)
        return None, faults


def _sent(setting: Setting, value: str | list[str]) -> Any:
    if setting.networks:
        return [{"name": one} for one in value]
    if setting.kind == "numbers" and isinstance(value, str):
        # In brackets, too: so do findings, code and papers write them.
        return [one for one in _BETWEEN_NUMBERS.split(value.strip("[]() ")) if one]
    return value
