"""The client: what users begin with."""

from collections.abc import AsyncIterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from condensery.client import bodies
from condensery.client._async.artifacts import AsyncArtifacts
from condensery.client._async.condensed_sets import AsyncCondensedSets
from condensery.client._async.datasets import AsyncDatasets
from condensery.client._async.events import follow
from condensery.client._async.jobs import AsyncJobs
from condensery.client._async.keys import AsyncKeys
from condensery.client._async.requests import AsyncRequests
from condensery.client._async.uploads import upload_source
from condensery.client.fields import Upload, Usage
from condensery.client.files import Progress
from condensery.client.parsing import parse


class AsyncClient:
    """Talks to one server.

    Lost connections, and answers that say "later", are tried again; an upload, a data set, a
    condensed set or a job carries an Idempotency-Key, so that it is made once.

    Args:
        server: such as http://127.0.0.1:8000.
        api_key: needed once the server has keys.
        retries: failures in a row that are borne, with pauses that grow to 8 s; ten take about 40 s.

    Raises:
        ValueError: `server` is no address, or `api_key` cannot be a key.
    """

    def __init__(self, server: str, api_key: str | None = None, *, retries: int = 10) -> None:
        address, headers = bodies.address(server), bodies.headers(api_key)
        self._http = httpx2.AsyncClient(base_url=address, headers=headers, timeout=bodies.timeout())
        self._requests = AsyncRequests(self._http, address, retries)
        self.datasets = AsyncDatasets(self._requests)
        self.condensed_sets = AsyncCondensedSets(self._requests)
        self.jobs = AsyncJobs(self._requests)
        self.artifacts = AsyncArtifacts(self._requests)
        self.keys = AsyncKeys(self._requests)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._http.aclose()

    async def upload(self, source: Path | str, progress: Progress | None = None) -> Upload:
        """Send a file, or a folder as a zip. What was sent of it before, even by a process that was killed,
        is not sent again.

        Args:
            progress: called with the bytes that were sent and those of the whole.

        Raises:
            ApiError, ConnectionFailed, ChecksumMismatch, FileChanged, NothingToSend
            OSError: it cannot be read.
        """
        return await upload_source(self._requests, Path(source), progress)

    async def usage(self) -> Usage:
        """What the caller stores and runs, beside the limits."""
        return parse(Usage, await self.get("/v1/usage"))

    async def get(self, path: str, **params: str | int) -> dict[str, Any]:
        """Any resource, as JSON: for what has no method of its own."""
        return await self._requests.get(path, **params)

    async def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make or ask for anything, as JSON."""
        return await self._requests.post(path, body)

    async def delete(self, path: str) -> None:
        """Delete anything."""
        await self._requests.delete(path)

    def follow(self, path: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """The events of what is at `path`, such as a job, as JSON; the last is ("end", itself)."""
        return follow(self._requests, path)
