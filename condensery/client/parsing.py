"""JSON objects as the dataclasses of fields.py."""

import dataclasses
from collections.abc import Hashable, Mapping
from datetime import datetime
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from condensery.client.errors import UnexpectedAnswer

T = TypeVar("T")


def parse(kind: type[T], body: Mapping[str, Any], **bound: Any) -> T:
    """An answer of this kind. `bound` are its fields that are not the server's.

    Raises:
        UnexpectedAnswer: a field is missing: the server is older than this client.
    """
    values: dict[str, Any] = {"raw": body, **bound}
    for name, hint, required in _fields(cast(Hashable, kind)):
        if name in body:
            values[name] = _value(hint, body[name])
        elif required and name not in values:
            raise UnexpectedAnswer(f"the server's answer has no {name!r}: it is older than this client")
    return kind(**values)


@cache
def _fields(kind: Any) -> list[tuple[str, Any, bool]]:
    hints = get_type_hints(kind)
    return [
        (one.name, hints[one.name], one.default is dataclasses.MISSING)
        for one in dataclasses.fields(kind)
        if one.name != "raw"
    ]


def _value(hint: Any, value: Any) -> Any:
    if value is None:
        return None
    if get_origin(hint) is UnionType:
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
    if hint is datetime:
        return datetime.fromisoformat(value)
    if get_origin(hint) is list:
        return [_value(get_args(hint)[0], one) for one in value]
    return parse(cast(type[Any], hint), value) if dataclasses.is_dataclass(hint) else value
