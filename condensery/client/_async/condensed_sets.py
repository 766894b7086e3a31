"""Condensed sets."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from condensery.client import bodies
from condensery.client._async.artifacts import AsyncArtifact, one_of
from condensery.client._async.requests import AsyncRequests
from condensery.client._async.row import AsyncRow
from condensery.client._async.uploads import upload_source
from condensery.client.errors import CondensedSetInvalid
from condensery.client.fields import CondensedSetFields, Resource, Upload
from condensery.client.files import Progress
from condensery.client.parsing import parse


@dataclass(frozen=True, kw_only=True)
class AsyncCondensedSet(CondensedSetFields, AsyncRow):
    """A condensed set on the server: made by a job, uploaded, or merged of others."""

    collection = "/v1/condensed-sets"

    async def wait(self) -> Self:
        """Once it is ready. Raises CondensedSetInvalid: what it lacks may have to be stated."""
        found = await self._ended()
        if found.state != "ready":
            raise CondensedSetInvalid(found)
        return found

    async def artifacts(self) -> list[AsyncArtifact]:
        """The files that it offers: none until it is ready."""
        found = self.requests.pages("/v1/artifacts", condensed_set_id=self.id)
        return [parse(AsyncArtifact, one, requests=self.requests) async for one in found]

    async def artifact(self, format: str = "safetensors") -> AsyncArtifact:
        """The file of one format. Raises NotOffered, which names those that are."""
        return one_of(await self.artifacts(), format, self.id, self.state)


class AsyncCondensedSets:
    """`client.condensed_sets`"""

    def __init__(self, requests: AsyncRequests) -> None:
        self._requests = requests

    async def add(
        self,
        source: Upload | Path | str,
        *,
        dataset: Resource | str | None = None,
        name: str | None = None,
        license: str | None = None,
        stated: Mapping[str, Any] | None = None,
        progress: Progress | None = None,
    ) -> AsyncCondensedSet:
        """Have an upload, or a file or folder of this machine, which is uploaded first, read by a worker:
        `wait()` for the answer.

        Args:
            dataset: the data set that it stands for, or its id; files of this service need none.
            stated: what the files leave open, such as {"space": "unit", "factor": 2}.
        """
        sent = source
        if not isinstance(sent, Upload):
            sent = await upload_source(self._requests, Path(sent), progress)
        settings = {
            "upload_id": sent.id,
            "dataset_id": bodies.id_of(dataset),
            "name": name,
            "license": license,
            "stated": None if stated is None else dict(stated),
        }
        return await self._made("/v1/condensed-sets", settings)

    async def merge(
        self, condensed_sets: Sequence[Resource | str], *, name: str | None = None
    ) -> AsyncCondensedSet:
        """Make one set of several, whose classes are pairwise equal or disjoint: `wait()` for it."""
        ids = [bodies.id_of(one) for one in condensed_sets]
        return await self._made("/v1/condensed-sets/merge", {"condensed_set_ids": ids, "name": name})

    async def get(self, condensed_set_id: str) -> AsyncCondensedSet:
        return self._as(await self._requests.get(f"/v1/condensed-sets/{condensed_set_id}"))

    def list(
        self, *, state: str | None = None, job: Resource | str | None = None
    ) -> AsyncIterator[AsyncCondensedSet]:
        """All of them, newest first, read page by page."""
        rows = self._requests.pages("/v1/condensed-sets", state=state, job_id=bodies.id_of(job))
        return (self._as(row) async for row in rows)

    async def _made(self, path: str, settings: Mapping[str, Any]) -> AsyncCondensedSet:
        body = bodies.given(dict(settings))
        return self._as(await self._requests.post(path, body, repeatable=True))

    def _as(self, body: dict[str, Any]) -> AsyncCondensedSet:
        return parse(AsyncCondensedSet, body, requests=self._requests)
