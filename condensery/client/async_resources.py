"""What an AsyncClient's answers can do: as those of Client, with await."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from condensery.client.download import Progress, download
from condensery.client.drivers import AsyncDriver
from condensery.client.errors import DatasetInvalid, JobFailed
from condensery.client.events import END, follow
from condensery.client.fields import ArtifactFields, DatasetFields, Event, JobFields, Metric, parse
from condensery.client.requests import Requests
from condensery.client.resources import chosen


@dataclass(frozen=True)
class AsyncContext:
    """What resources act through."""

    driver: AsyncDriver
    requests: Requests


@dataclass(frozen=True, kw_only=True)
class AsyncDataset(DatasetFields):
    """A labelled image set on the server."""

    context: AsyncContext = field(repr=False, compare=False)

    @property
    def _path(self) -> str:
        return f"/v1/datasets/{self.id}"

    async def refresh(self) -> Self:
        """As it is now."""
        return self._as(await self.context.driver.run(self.context.requests.get(self._path)))

    def events(self, after: int = 0) -> AsyncIterator[Event]:
        """Its history after event number `after`, and then its future, live, until it is ready or invalid."""
        return _events(self.context, self._path, after)

    async def wait(self) -> Self:
        """Once it is ready. Raises DatasetInvalid."""
        ended = self._as(await self.context.driver.run(follow(self.context.requests, self._path)))
        if ended.state != "ready":
            raise DatasetInvalid(ended)
        return ended

    async def report(self) -> dict[str, Any]:
        """The validation report of a ready set: counts, warnings, suggestions, what usual jobs will cost."""
        return await self.context.driver.run(self.context.requests.get(f"{self._path}/report"))

    async def delete(self) -> None:
        """Delete it with its files; refused while an unfinished job needs it."""
        await self.context.driver.run(self.context.requests.delete(self._path))

    def _as(self, body: dict[str, Any]) -> Self:
        return parse(type(self), body, context=self.context)


@dataclass(frozen=True, kw_only=True)
class AsyncJob(JobFields):
    """A condensation on the server."""

    context: AsyncContext = field(repr=False, compare=False)

    @property
    def _path(self) -> str:
        return f"/v1/jobs/{self.id}"

    async def refresh(self) -> Self:
        """As it is now."""
        return self._as(await self.context.driver.run(self.context.requests.get(self._path)))

    def events(self, after: int = 0) -> AsyncIterator[Event]:
        """Its history after event number `after`, and then its future, live, until it has ended."""
        return _events(self.context, self._path, after)

    async def wait(self) -> Self:
        """Once it has succeeded. Raises JobFailed: it failed or was cancelled."""
        ended = self._as(await self.context.driver.run(follow(self.context.requests, self._path)))
        if ended.state != "succeeded":
            raise JobFailed(ended)
        return ended

    def metrics(self) -> AsyncIterator[Metric]:
        """Its loss curve."""
        points = self.context.requests.pages(f"{self._path}/metrics", limit=1000)
        return (parse(Metric, one) async for one in self.context.driver.each(points))

    async def artifacts(self) -> "list[AsyncArtifact]":
        """The files that it offers: none until it has succeeded."""
        found = self.context.driver.each(self.context.requests.pages("/v1/artifacts", job_id=self.id))
        return [parse(AsyncArtifact, one, context=self.context) async for one in found]

    async def artifact(self, format: str = "safetensors") -> "AsyncArtifact":
        """The file of one format. Raises NotOffered."""
        return chosen(self, await self.artifacts(), format)

    async def cancel(self) -> Self:
        """Stop it for good: at once while it waits, within a step while it runs."""
        return await self._ask("cancel")

    async def pause(self) -> Self:
        """Save its state and free the device."""
        return await self._ask("pause")

    async def resume(self) -> Self:
        """Go on from where it was paused."""
        return await self._ask("resume")

    async def delete(self) -> None:
        """Delete it with its files, if it has ended."""
        await self.context.driver.run(self.context.requests.delete(self._path))

    async def _ask(self, what: str) -> Self:
        asked = self.context.requests.post(f"{self._path}/{what}", repeatable=True)
        return self._as(await self.context.driver.run(asked))

    def _as(self, body: dict[str, Any]) -> Self:
        return parse(type(self), body, context=self.context)


@dataclass(frozen=True, kw_only=True)
class AsyncArtifact(ArtifactFields):
    """A file of a job's result."""

    context: AsyncContext = field(repr=False, compare=False)

    async def download(self, target: Path | str, progress: Progress | None = None) -> Path:
        """Save it as `target`, or under its own name in the folder `target`. What an earlier, broken
        download has left is gone on from; nothing is at `target` before its SHA-256 is right.

        Args:
            progress: called with the bytes that are there and those of the whole.

        Raises:
            ChecksumMismatch, ConnectionFailed, ApiError
        """
        return await self.context.driver.run(download(self.context.requests, self, Path(target), progress))


def _events(context: AsyncContext, path: str, after: int) -> AsyncIterator[Event]:
    found = context.driver.each(follow(context.requests, path, after))
    return (parse(Event, body) async for kind, body in found if kind != END)
