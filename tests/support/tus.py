"""Requests of a tus client, and what they leave on the disk."""

import base64
import hashlib
from typing import Any

import httpx2
from starlette.testclient import TestClient

from core.settings import Settings

TUS = {"Tus-Resumable": "1.0.0"}
CONTENT = bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
DAY = 86_400


def metadata(**values: str | bytes) -> dict[str, str]:
    pairs = []
    for key, value in values.items():
        raw = value.encode() if isinstance(value, str) else value
        pairs.append(f"{key} {base64.b64encode(raw).decode()}")
    return {"Upload-Metadata": ",".join(pairs)}


def post(http: TestClient, **headers: str) -> httpx2.Response:
    return http.post("/v1/uploads", headers={**TUS, "Upload-Length": str(len(CONTENT)), **headers})


def begun(http: TestClient, headers: dict[str, str] | None = None) -> str:
    """The path of a new upload."""
    made = post(http, **(headers or {}))
    assert made.status_code == 201, made.text
    return str(made.headers["location"])


def patch(http: TestClient, path: str, offset: int, body: Any, **headers: str) -> httpx2.Response:
    piece = {"Upload-Offset": str(offset), "Content-Type": "application/offset+octet-stream"}
    return http.patch(path, content=body, headers={**TUS, **piece, **headers})


def head(http: TestClient, path: str) -> httpx2.Response:
    return http.head(path, headers=TUS)


def offset(http: TestClient, path: str) -> int:
    answer = head(http, path)
    assert answer.status_code == 200
    return int(answer.headers["upload-offset"])


def id_of(path: str) -> str:
    return path.rpartition("/")[2]


def partial_files(settings: Settings) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in (settings.data_dir / "partial").iterdir()}


def checksum(body: bytes, algorithm: str = "sha1") -> dict[str, str]:
    digest = base64.b64encode(hashlib.new(algorithm, body).digest()).decode()
    return {"Upload-Checksum": f"{algorithm} {digest}"}


def arrive(settings: Settings, path: str, content: bytes) -> None:
    """What a process that died at once had received."""
    with (settings.data_dir / "partial" / id_of(path)).open("ab") as file:
        file.write(content)
