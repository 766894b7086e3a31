"""Jobs."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Self

from condensery.client import bodies
from condensery.client._async.artifacts import AsyncArtifact, one_of
from condensery.client._async.datasets import AsyncDataset
from condensery.client._async.requests import AsyncRequests
from condensery.client._async.row import AsyncRow
from condensery.client.errors import JobFailed
from condensery.client.fields import JobCheck, JobFields, Metric, Resource
from condensery.client.parsing import parse


@dataclass(frozen=True, kw_only=True)
class AsyncJob(JobFields, AsyncRow):
    """Work on the server: a condensation, or of another kind."""

    collection = "/v1/jobs"

    async def wait(self) -> Self:
        """Once it has succeeded. Raises JobFailed: it failed or was cancelled."""
        found = await self._ended()
        if found.state != "succeeded":
            raise JobFailed(found)
        return found

    def metrics(self) -> AsyncIterator[Metric]:
        """Its loss curve."""
        points = self.requests.pages(f"{self._path}/metrics", limit=1000)
        return (parse(Metric, one) async for one in points)

    async def artifacts(self) -> list[AsyncArtifact]:
        """The files that it offers: none until it has succeeded."""
        found = self.requests.pages("/v1/artifacts", job_id=self.id)
        return [parse(AsyncArtifact, one, requests=self.requests) async for one in found]

    async def artifact(self, format: str = "safetensors") -> AsyncArtifact:
        """The file of one format. Raises NotOffered, which names those that are."""
        return one_of(await self.artifacts(), format, self.id, self.state)

    async def cancel(self) -> Self:
        """Stop it for good: at once while it waits, within a step while it runs."""
        return await self._ask("cancel")

    async def pause(self) -> Self:
        """Save its state and free the device."""
        return await self._ask("pause")

    async def resume(self) -> Self:
        """Go on from where it was paused."""
        return await self._ask("resume")

    async def _ask(self, what: str) -> Self:
        return self._as(await self.requests.post(f"{self._path}/{what}", repeatable=True))


class AsyncJobs:
    """`client.jobs`"""

    def __init__(self, requests: AsyncRequests) -> None:
        self._requests = requests

    async def submit(
        self,
        dataset: AsyncDataset | str,
        *,
        kind: str | None = None,
        condensed_set: Resource | str | None = None,
        name: str | None = None,
        priority: str | None = None,
        **settings: Any,
    ) -> AsyncJob:
        """Queue a job on a data set that is ready.

        Args:
            dataset: it or its id.
            kind: by default `condense`, which needs `ipc`, the synthetic images per class.
            condensed_set: it or its id, for a kind that works on one.
            settings: those of the kind, such as ipc=10, recipe="fast" or evaluation={"networks": 3}.
        """
        body = bodies.job(dataset, condensed_set, kind=kind, name=name, priority=priority, **settings)
        return self._as(await self._requests.post("/v1/jobs", body, repeatable=True))

    async def validate(
        self,
        dataset: AsyncDataset | str | None = None,
        *,
        condensed_set: Resource | str | None = None,
        **settings: Any,
    ) -> JobCheck:
        """What `submit` would do, without doing it: the settings with all defaults, and the cost.

        Args:
            dataset: without it, as before an upload, what depends on the data is not checked.

        Raises:
            ApiError: the very one that `submit` would raise.
        """
        body = bodies.job(dataset, condensed_set, **settings)
        return parse(JobCheck, await self._requests.post("/v1/jobs/validate", body, repeatable=True))

    async def get(self, job_id: str) -> AsyncJob:
        return self._as(await self._requests.get(f"/v1/jobs/{job_id}"))

    def list(
        self,
        *,
        state: str | None = None,
        kind: str | None = None,
        dataset: AsyncDataset | str | None = None,
    ) -> AsyncIterator[AsyncJob]:
        """All of them, newest first, read page by page; `evaluations` and `accuracies` are left empty."""
        rows = self._requests.pages("/v1/jobs", state=state, kind=kind, dataset_id=bodies.id_of(dataset))
        return (self._as(row) async for row in rows)

    def _as(self, body: dict[str, Any]) -> AsyncJob:
        return parse(AsyncJob, body, requests=self._requests)
