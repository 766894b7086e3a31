"""The client for asyncio: as Client, with await."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from condensery.client import bodies
from condensery.client.async_resources import AsyncArtifact, AsyncContext, AsyncDataset, AsyncJob
from condensery.client.drivers import AsyncDriver
from condensery.client.events import follow
from condensery.client.fields import Key, Upload, Usage, parse
from condensery.client.packing import packed
from condensery.client.requests import Requests
from condensery.client.upload import Progress, upload


class AsyncClient:
    """Talks to one server: see Client, which has the same arguments, methods and errors."""

    def __init__(self, server: str, api_key: str | None = None, *, retries: int = 10) -> None:
        address = bodies.address(server)
        self._http = httpx2.AsyncClient(
            base_url=address, headers=bodies.headers(api_key), timeout=bodies.TIMEOUT
        )
        self._context = AsyncContext(AsyncDriver(self._http), Requests(address, retries))
        self.datasets = AsyncDatasets(self, self._context)
        self.jobs = AsyncJobs(self._context)
        self.artifacts = AsyncArtifacts(self._context)
        self.keys = AsyncKeys(self._context)

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
        # In a thread: packing a folder reads all of it.
        with ExitStack() as stack:
            file, name = await asyncio.to_thread(stack.enter_context, packed(Path(source)))
            return await self._context.driver.run(upload(self._context.requests, file, name, progress))

    async def usage(self) -> Usage:
        """What the caller stores and runs, beside the limits."""
        return parse(Usage, await self.get("/v1/usage"))

    async def get(self, path: str, **params: str | int) -> dict[str, Any]:
        """Any resource, as JSON: for what has no method of its own."""
        return await self._context.driver.run(self._context.requests.get(path, **params))

    async def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make or ask for anything, as JSON."""
        return await self._context.driver.run(self._context.requests.post(path, body))

    async def delete(self, path: str) -> None:
        """Delete anything."""
        await self._context.driver.run(self._context.requests.delete(path))

    def follow(self, path: str) -> AsyncIterator[tuple[str, dict[str, Any]]]:
        """The events of the data set or job at `path`, as JSON; the last is ("end", itself)."""
        return self._context.driver.each(follow(self._context.requests, path))


class AsyncDatasets:
    """`client.datasets`"""

    def __init__(self, client: AsyncClient, context: AsyncContext) -> None:
        self._client, self._context = client, context

    async def add(
        self,
        source: Upload | Path | str,
        *,
        name: str | None = None,
        license: str | None = None,
        image_size: int | None = None,
        channels: int | None = None,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> AsyncDataset:
        """Have an upload, or a file or folder of this machine, which is uploaded first, read by a worker:
        `wait()` for the answer. Settings that are not given are decided by what is found.

        Args:
            image_size: edge of the square images in px.
            channels: 1, 3 or 4.
        """
        sent = source if isinstance(source, Upload) else await self._client.upload(source, progress)
        body = bodies.dataset(
            upload_id=sent.id, name=name, license=license, image_size=image_size, channels=channels, seed=seed
        )
        return await self._made(body)

    async def add_server_path(self, path: str, **settings: str | int) -> AsyncDataset:
        """The same, of a file or folder that lies on the server, under one of its import directories."""
        return await self._made(bodies.dataset(path=path, **settings))

    async def get(self, dataset_id: str) -> AsyncDataset:
        return self._as(await self._client.get(f"/v1/datasets/{dataset_id}"))

    def list(self, *, state: str | None = None) -> AsyncIterator[AsyncDataset]:
        """All of them, newest first, read page by page."""
        rows = self._context.requests.pages("/v1/datasets", state=state)
        return (self._as(row) async for row in self._context.driver.each(rows))

    async def _made(self, body: dict[str, Any]) -> AsyncDataset:
        made = self._context.requests.post("/v1/datasets", body, repeatable=True)
        return self._as(await self._context.driver.run(made))

    def _as(self, body: dict[str, Any]) -> AsyncDataset:
        return parse(AsyncDataset, body, context=self._context)


class AsyncJobs:
    """`client.jobs`"""

    def __init__(self, context: AsyncContext) -> None:
        self._context = context

    async def submit(
        self,
        dataset: AsyncDataset | str,
        *,
        ipc: int,
        name: str | None = None,
        priority: str | None = None,
        **settings: Any,
    ) -> AsyncJob:
        """Queue a condensation of a data set that is ready.

        Args:
            dataset: it or its id.
            ipc: synthetic images per class.
            settings: any other of the API's, such as recipe="fast", seed=7 or evaluation={"networks": 3}.
        """
        body = bodies.job(dataset, ipc=ipc, name=name, priority=priority, **settings)
        made = self._context.requests.post("/v1/jobs", body, repeatable=True)
        return self._as(await self._context.driver.run(made))

    async def get(self, job_id: str) -> AsyncJob:
        return self._as(await self._context.driver.run(self._context.requests.get(f"/v1/jobs/{job_id}")))

    def list(
        self, *, state: str | None = None, dataset: AsyncDataset | str | None = None
    ) -> AsyncIterator[AsyncJob]:
        """All of them, newest first, read page by page; `evaluations` and `accuracies` are left empty."""
        rows = self._context.requests.pages("/v1/jobs", state=state, dataset_id=bodies.id_of(dataset))
        return (self._as(row) async for row in self._context.driver.each(rows))

    def _as(self, body: dict[str, Any]) -> AsyncJob:
        return parse(AsyncJob, body, context=self._context)


class AsyncArtifacts:
    """`client.artifacts`"""

    def __init__(self, context: AsyncContext) -> None:
        self._context = context

    async def get(self, artifact_id: str) -> AsyncArtifact:
        found = await self._context.driver.run(self._context.requests.get(f"/v1/artifacts/{artifact_id}"))
        return parse(AsyncArtifact, found, context=self._context)

    def list(
        self, *, job: AsyncJob | str | None = None, format: str | None = None
    ) -> AsyncIterator[AsyncArtifact]:
        """All of them, newest first, read page by page."""
        rows = self._context.requests.pages("/v1/artifacts", job_id=bodies.id_of(job), format=format)
        return (
            parse(AsyncArtifact, row, context=self._context) async for row in self._context.driver.each(rows)
        )


class AsyncKeys:
    """`client.keys`"""

    def __init__(self, context: AsyncContext) -> None:
        self._context = context

    async def create(
        self,
        name: str,
        *,
        scope: str | None = None,
        owner: str | None = None,
        expires_at: datetime | None = None,
    ) -> Key:
        """Make a key with the scope `read`, `write` (the default) or `admin`. Its `token` is in this answer
        only, so no try follows one whose answer was lost: look for such a key in `list()`, and revoke it."""
        body = bodies.key(name, scope=scope, owner=owner, expires_at=expires_at)
        return parse(Key, await self._context.driver.run(self._context.requests.post("/v1/keys", body)))

    def list(self) -> AsyncIterator[Key]:
        """All of them, newest first, revoked and expired ones too."""
        rows = self._context.driver.each(self._context.requests.pages("/v1/keys"))
        return (parse(Key, row) async for row in rows)

    async def revoke(self, key: Key | str) -> None:
        """Revoke it for good."""
        await self._context.driver.run(self._context.requests.delete(f"/v1/keys/{bodies.id_of(key)}"))
