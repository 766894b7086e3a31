"""Data sets."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from condensery.client import bodies
from condensery.client._async.requests import AsyncRequests
from condensery.client._async.row import AsyncRow
from condensery.client._async.uploads import upload_source
from condensery.client.errors import DatasetInvalid
from condensery.client.fields import DatasetFields, Upload
from condensery.client.files import Progress
from condensery.client.parsing import parse


@dataclass(frozen=True, kw_only=True)
class AsyncDataset(DatasetFields, AsyncRow):
    """A labelled image set on the server."""

    collection = "/v1/datasets"

    async def wait(self) -> Self:
        """Once it is ready. Raises DatasetInvalid."""
        found = await self._ended()
        if found.state != "ready":
            raise DatasetInvalid(found)
        return found

    async def report(self) -> dict[str, Any]:
        """The validation report of a ready set: counts, warnings, suggestions, what usual jobs will cost."""
        return await self.requests.get(f"{self._path}/report")


class AsyncDatasets:
    """`client.datasets`"""

    def __init__(self, requests: AsyncRequests) -> None:
        self._requests = requests

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
        sent = source
        if not isinstance(sent, Upload):
            sent = await upload_source(self._requests, Path(sent), progress)
        return await self._made(
            upload_id=sent.id, name=name, license=license, image_size=image_size, channels=channels, seed=seed
        )

    async def add_server_path(self, path: str, **settings: str | int) -> AsyncDataset:
        """The same, of a file or folder that lies on the server, under one of its import directories."""
        return await self._made(path=path, **settings)

    async def get(self, dataset_id: str) -> AsyncDataset:
        return self._as(await self._requests.get(f"/v1/datasets/{dataset_id}"))

    def list(self, *, state: str | None = None) -> AsyncIterator[AsyncDataset]:
        """All of them, newest first, read page by page."""
        rows = self._requests.pages("/v1/datasets", state=state)
        return (self._as(row) async for row in rows)

    async def _made(self, **settings: Any) -> AsyncDataset:
        body = bodies.given(settings)
        return self._as(await self._requests.post("/v1/datasets", body, repeatable=True))

    def _as(self, body: dict[str, Any]) -> AsyncDataset:
        return parse(AsyncDataset, body, requests=self._requests)
