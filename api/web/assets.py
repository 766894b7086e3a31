"""Styles and scripts. Their address has a hash of all of them, so that a browser may keep them for good."""

import hashlib
import mimetypes
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from fastapi import APIRouter, Response

from core.errors import NotFound

router = APIRouter(include_in_schema=False)

_TYPES = {".js": "text/javascript", ".svg": "image/svg+xml", ".css": "text/css", ".txt": "text/plain"}


@cache
def _contents() -> dict[str, bytes]:
    """By path below static/."""

    def below(folder: Traversable, prefix: str) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for entry in sorted(folder.iterdir(), key=lambda one: one.name):
            if entry.is_dir():
                found |= below(entry, f"{prefix}{entry.name}/")
            else:
                found[prefix + entry.name] = entry.read_bytes()
        return found

    return below(files("api.web") / "static", "")


@cache
def _version() -> str:
    """One for all: modules import one another by relative addresses."""
    digest = hashlib.sha256()
    for path, content in _contents().items():
        digest.update(f"{path}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()[:16]


def address(path: str) -> str:
    """Where a file of static/ is served."""
    assert path in _contents(), path
    return f"/static/{_version()}/{path}"


@router.get("/static/{version}/{path:path}")
def read_asset(version: str, path: str) -> Response:
    """A page that was rendered before an update gets the file as it is now, but must not keep it."""
    content = _contents().get(path)
    if content is None:
        raise NotFound(f"no file {path[:80]!r}")
    suffix = "." + path.rpartition(".")[2]
    kept = "public, max-age=31536000, immutable" if version == _version() else "no-cache"
    return Response(
        content,
        media_type=_TYPES.get(suffix) or mimetypes.types_map.get(suffix, "application/octet-stream"),
        headers={"Cache-Control": kept},
    )
