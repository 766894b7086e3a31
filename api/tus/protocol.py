"""The tus protocol 1.0 (https://tus.io/protocols/resumable-upload): headers, and what requests share."""

import base64
import binascii
import hashlib
import re
from datetime import datetime
from email.utils import format_datetime
from typing import Annotated, Any, Literal

from fastapi import Header
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.schemas.common import NO_CONTROLS
from core.errors import InvalidRequest, Malformed
from core.storage.partial import PartialFile

VERSION = "1.0.0"
VERSION_HEADER = "tus-resumable"
EXTENSIONS = ("creation", "expiration", "checksum", "termination")
ALGORITHMS = ("sha256", "sha1", "md5")
MEDIA_TYPE = "application/offset+octet-stream"

#: What `Checksum` and `parse_metadata` take, for the OpenAPI document.
CHECKSUM_PATTERN = "^(sha256 [A-Za-z0-9+/]{43}=|sha1 [A-Za-z0-9+/]{27}=|md5 [A-Za-z0-9+/]{22}==)$"
_BASE64 = "([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
METADATA_PATTERN = f"^([!-+./-~]+( {_BASE64})?(,[!-+./-~]+( {_BASE64})?)*)?$"

_PATH = "/v1/uploads"
_OVERRIDES = {b"PATCH", b"DELETE"}
_FILE_NAME = re.compile(NO_CONTROLS)
_KEY = re.compile(r"[!-+./-~]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Tus:
    """ASGI middleware: what the protocol asks of every answer and every request under `/v1/uploads`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if scope["type"] != "http" or not (path == _PATH or path.startswith(f"{_PATH}/")):
            await self.app(scope, receive, send)
            return
        # For clients behind proxies that let only GET and POST pass.
        instead = Headers(scope=scope).get("x-http-method-override", "").encode()
        if scope["method"] == "POST" and instead in _OVERRIDES:
            scope = {**scope, "method": instead.decode()}

        async def send_with_version(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Tus-Resumable"] = VERSION
            await send(message)

        await self.app(scope, receive, send_with_version)


#: What a request of the protocol must carry; where that is not so, `wrong_version` is the answer.
Version = Annotated[Literal["1.0.0"], Header(alias=VERSION_HEADER)]
#: What a request of another one may carry besides.
VersionIfGiven = Annotated[
    Literal["1.0.0"] | None, Header(alias=VERSION_HEADER, description="Of tus clients.")
]


def wrong_version(given: str | None) -> HTTPException:
    """412, as the protocol demands."""
    if given is None:
        detail = (
            f"this is a request of resumable uploads and needs the header Tus-Resumable: {VERSION}, as tus "
            f"clients send it; to send a file in one plain request, PUT it to {_PATH}"
        )
    else:
        detail = f"Tus-Resumable is {given[:80]!r}; only {VERSION} is spoken"
    return HTTPException(412, detail, headers={"Tus-Version": VERSION})


def parse_metadata(header: str | None) -> tuple[str | None, str | None]:
    """`filename` and `sha256` of an `Upload-Metadata` header; other keys are the client's own.

    Raises:
        Malformed: not pairs of a key and Base64, or a key twice.
        InvalidRequest: a value that cannot be.
    """
    found: dict[str, bytes] = {}
    for pair in header.split(",") if header else ():
        key, _, value = pair.strip().partition(" ")
        try:
            decoded = base64.b64decode(value, validate=True)
        except binascii.Error as error:
            raise Malformed(f"Upload-Metadata: the value of {key[:80]!r} is not Base64") from error
        if key and not _KEY.fullmatch(key):
            raise Malformed(f"Upload-Metadata: the key {key[:80]!r} has characters that are not ASCII")
        if not key or key in found:
            raise Malformed(f"Upload-Metadata: the key {key[:80]!r} is {'given twice' if key else 'empty'}")
        found[key] = decoded
    return _file_name(found.get("filename")), _sha256(found.get("sha256"))


def _file_name(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        name = value.decode()
    except UnicodeDecodeError as error:
        raise _invalid("filename is not UTF-8") from error
    if not 1 <= len(name) <= 255 or not _FILE_NAME.fullmatch(name):
        raise _invalid("filename must have 1 to 255 characters, none of them a control character")
    return name


def _sha256(value: bytes | None) -> str | None:
    if value is None:
        return None
    digest = value.decode("ascii", "replace").lower()
    if not _SHA256.fullmatch(digest):
        raise _invalid("sha256 must be 64 hexadecimal digits")
    return digest


def _invalid(detail: str) -> InvalidRequest:
    return InvalidRequest(f"Upload-Metadata: {detail}", pointer="Header: upload-metadata")


class Checksum:
    """What an `Upload-Checksum` header announced, held against what comes.

    Raises:
        Malformed: no known algorithm, or no digest of it.
    """

    def __init__(self, header: str) -> None:
        self.algorithm, _, encoded = header.strip().partition(" ")
        if self.algorithm not in ALGORITHMS:
            raise Malformed(
                f"Upload-Checksum: {self.algorithm[:80]!r} is not known; use one of {', '.join(ALGORITHMS)}"
            )
        self._hash = hashlib.new(self.algorithm, usedforsecurity=False)
        try:
            self._announced = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise Malformed("Upload-Checksum: the digest is not Base64") from error
        if len(self._announced) != self._hash.digest_size:
            raise Malformed(
                f"Upload-Checksum: the digest has {len(self._announced)} bytes; {self.algorithm} has "
                f"{self._hash.digest_size}"
            )

    def update(self, chunk: bytes) -> None:
        self._hash.update(chunk)

    @property
    def matches(self) -> bool:
        return self._hash.digest() == self._announced


class Piece:
    """The bytes of one request, appended to a partial file as they come."""

    def __init__(self, partial: PartialFile, checksum: Checksum | None) -> None:
        self._partial = partial
        self._checksum = checksum

    def write(self, chunk: bytes) -> None:
        self._partial.write(chunk)
        if self._checksum is not None:
            self._checksum.update(chunk)


def expires(at: datetime | None) -> dict[str, str]:
    """The header of an upload that will expire."""
    return {} if at is None else {"Upload-Expires": format_datetime(at, usegmt=True)}


def header_of(description: str) -> dict[str, Any]:
    """A header of an answer, for OpenAPI."""
    return {"description": description, "schema": {"type": "string"}}
