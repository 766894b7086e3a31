"""The OpenAPI document, where what FastAPI derives from the code is not what the service does."""

from collections.abc import Iterator
from threading import Lock
from typing import Any

from fastapi import FastAPI

from api.problems import Problem


def describe(app: FastAPI) -> None:
    original, making = app.openapi, Lock()

    def openapi() -> dict[str, Any]:
        with making:
            if app.openapi_schema is not None:
                return app.openapi_schema
            document = original()
            _add_problem(document["components"]["schemas"])
            for parameter in _parameters(document):
                _drop_null(parameter["schema"])
            for content in _answers(document):
                if "itemSchema" in content:  # of a stream's events; FastAPI adds that the whole is a text
                    content.pop("schema", None)
            return document

    app.openapi = openapi  # type: ignore[method-assign]


def _add_problem(schemas: dict[str, Any]) -> None:
    """The schema that `problems.responses` refers to."""
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem


def _parameters(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        for operation in methods.values():
            yield from operation.get("parameters", ())


def _answers(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for methods in document["paths"].values():
        for operation in methods.values():
            for response in operation["responses"].values():
                yield from response.get("content", {}).values()


def _drop_null(schema: dict[str, Any]) -> None:
    """A parameter may be left out, but there is no way to say null in an address or a header."""
    kinds = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(kinds) == 1:
        del schema["anyOf"]
        schema |= kinds[0]
