"""A call of each route that would do, if the caller may make it."""

from typing import Any

from tests.support.api import SMALL
from tests.support.tus import TUS

Operation = tuple[str, str]


def content_of(operation: Operation, rows: dict[str, str]) -> dict[str, Any]:
    """Body and headers of (method, path template); `rows` has an id of each kind."""
    bodies: dict[Operation, dict[str, Any]] = {
        ("PUT", "/v1/uploads"): {"content": b"x"},
        ("POST", "/v1/uploads"): {"headers": {**TUS, "Upload-Length": "1"}},
        ("OPTIONS", "/v1/uploads"): {"headers": TUS},
        ("HEAD", "/v1/uploads/{upload_id}"): {"headers": TUS},
        ("PATCH", "/v1/uploads/{upload_id}"): {
            "headers": {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"},
            "content": b"x",
        },
        ("POST", "/v1/datasets"): {"json": {"upload_id": rows["upload_id"]}},
        ("POST", "/v1/jobs"): {"json": {"dataset_id": rows["dataset_id"], **SMALL}},
        ("POST", "/v1/jobs/validate"): {"json": {"dataset_id": rows["dataset_id"], **SMALL}},
        ("POST", "/v1/condensed-sets"): {"json": {"upload_id": rows["upload_id"]}},
        ("POST", "/v1/condensed-sets/merge"): {
            "json": {"condensed_set_ids": [rows["condensed_set_id"], "cs_other"]}
        },
        ("POST", "/v1/keys"): {"json": {"name": "x"}},
        ("POST", "/v1/webhooks"): {"json": {"url": "https://hooks.example/"}},
        ("PATCH", "/v1/webhooks/{webhook_id}"): {"json": {"description": "x"}},
    }
    return bodies.get(operation, {})
