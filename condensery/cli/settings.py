"""The settings of a job by their paths, such as network.width, as `--set` takes and `show` shows them."""

import json
from typing import Any

from condensery.cli.group import Failed


def nested(settings: list[str], *, option: str = "--set") -> dict[str, Any]:
    """`a.b=1` as {"a": {"b": 1}}; a value that is not JSON is text. Raises Failed."""
    found: dict[str, Any] = {}
    for one in settings:
        path, equals, text = one.partition("=")
        *outer, last = path.split(".")
        inner = found
        for part in outer:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise Failed(f"{option} {one}: {part} has a value already")
        if not equals or not all((*outer, last)):
            example = "network.width=32" if option == "--set" else "space=unit"
            raise Failed(f"{option} {one}: write NAME=VALUE, such as {example}")
        try:
            inner[last] = json.loads(text)
        except ValueError:
            inner[last] = text
    return found


def flat(value: Any, path: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} as {"a.b": 1}."""
    if not isinstance(value, dict):
        return {path: value}
    return {
        name: one
        for key, inner in value.items()
        for name, one in flat(inner, f"{path}.{key}" if path else key).items()
    }


def written(name: str, value: Any) -> str:
    """NAME=VALUE; text without quotes."""
    return f"{name}={value if isinstance(value, str) else json.dumps(value)}"
