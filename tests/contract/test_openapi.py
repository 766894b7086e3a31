"""The OpenAPI document says what the service does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from api.app import create_app
from core.db.session import Database
from core.settings import Settings
from core.storage.local import LocalStorage
from tests.support.api import client_of
from tests.support.databases import migrated_sqlite

PROBLEM = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FastAPI]:
    folder: Path = tmp_path_factory.mktemp("openapi")
    database = Database(migrated_sqlite(folder))
    yield create_app(Settings(data_dir=folder), database, LocalStorage(folder))
    database.engine.dispose()


@pytest.fixture(scope="module")
def document(app: FastAPI) -> dict[str, Any]:
    found: dict[str, Any] = app.openapi()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method, path, operation


def test_it_is_served_as_it_is_made(app: FastAPI, document: dict[str, Any]) -> None:
    with client_of(app) as http:
        assert http.get("/openapi.json").json() == document


def test_every_operation_says_what_it_does(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        assert operation.get("summary"), (method, path)
        assert operation.get("description"), (method, path)


def test_every_operation_documents_its_errors(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        if not path.startswith("/v1/"):
            continue
        expected = {"401", "403", "422", "500", "503"}
        if "{" in path:
            expected.add("404")
        if "requestBody" in operation:
            expected |= {"400", "413"}
        documented = {status for status in operation["responses"] if status >= "400"}
        assert expected <= documented, (method, path, expected - documented)
        for status in documented:
            assert operation["responses"][status]["content"] == PROBLEM, (method, path, status)


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            if isinstance(reference := node.get("$ref"), str):
                yield reference
            for value in node.values():
                yield from references(value)
        elif isinstance(node, list):
            for value in node:
                yield from references(value)

    found = set(references(document))
    assert "#/components/schemas/Problem" in found
    for reference in found:
        node: Any = document
        for part in reference.removeprefix("#/").split("/"):
            node = node[part]


def test_every_request_example_is_accepted(app: FastAPI, document: dict[str, Any]) -> None:
    """By the service itself: its ids are of nothing (404), but nothing about its form is wrong."""
    tried = 0
    with client_of(app) as http:
        # Keys last: once there is one, nothing is answered without.
        for method, path, operation in sorted(operations(document), key=lambda one: one[1] == "/v1/keys"):
            schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            if not schema:
                continue
            # Of a job, a body for each kind.
            for one in schema["schema"].get("oneOf", [schema["schema"]]):
                model = document["components"]["schemas"][one["$ref"].rpartition("/")[2]]
                assert model["examples"], (method, path)
                for example in model["examples"]:
                    response = http.request(method, path, json=example)
                    assert response.status_code in (201, 404), response.text
                    tried += 1
    assert tried >= 4
