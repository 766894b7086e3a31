"""What a Client's answers can do."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from condensery.client.download import Progress, download
from condensery.client.drivers import Driver
from condensery.client.errors import DatasetInvalid, JobFailed, NotOffered
from condensery.client.events import END, follow
from condensery.client.fields import ArtifactFields, DatasetFields, Event, JobFields, Metric, parse
from condensery.client.requests import Requests


@dataclass(frozen=True)
class Context:
    """What resources act through."""

    driver: Driver
    requests: Requests


@dataclass(frozen=True, kw_only=True)
class Dataset(DatasetFields):
    """A labelled image set on the server."""

    context: Context = field(repr=False, compare=False)

    @property
    def _path(self) -> str:
        return f"/v1/datasets/{self.id}"

    def refresh(self) -> Self:
        """As it is now."""
        return self._as(self.context.driver.run(self.context.requests.get(self._path)))

    def events(self, after: int = 0) -> Iterator[Event]:
        """Its history after event number `after`, and then its future, live, until it is ready or invalid."""
        return _events(self.context, self._path, after)

    def wait(self) -> Self:
        """Once it is ready. Raises DatasetInvalid."""
        ended = self._as(self.context.driver.run(follow(self.context.requests, self._path)))
        if ended.state != "ready":
            raise DatasetInvalid(ended)
        return ended

    def report(self) -> dict[str, Any]:
        """The validation report of a ready set: counts, warnings, suggestions, what usual jobs will cost."""
        return self.context.driver.run(self.context.requests.get(f"{self._path}/report"))

    def delete(self) -> None:
        """Delete it with its files; refused while an unfinished job needs it."""
        self.context.driver.run(self.context.requests.delete(self._path))

    def _as(self, body: dict[str, Any]) -> Self:
        return parse(type(self), body, context=self.context)


@dataclass(frozen=True, kw_only=True)
class Job(JobFields):
    """A condensation on the server."""

    context: Context = field(repr=False, compare=False)

    @property
    def _path(self) -> str:
        return f"/v1/jobs/{self.id}"

    def refresh(self) -> Self:
        """As it is now."""
        return self._as(self.context.driver.run(self.context.requests.get(self._path)))

    def events(self, after: int = 0) -> Iterator[Event]:
        """Its history after event number `after`, and then its future, live, until it has ended."""
        return _events(self.context, self._path, after)

    def wait(self) -> Self:
        """Once it has succeeded. Raises JobFailed: it failed or was cancelled."""
        ended = self._as(self.context.driver.run(follow(self.context.requests, self._path)))
        if ended.state != "succeeded":
            raise JobFailed(ended)
        return ended

    def metrics(self) -> Iterator[Metric]:
        """Its loss curve."""
        points = self.context.requests.pages(f"{self._path}/metrics", limit=1000)
        return (parse(Metric, one) for one in self.context.driver.each(points))

    def artifacts(self) -> "list[Artifact]":
        """The files that it offers: none until it has succeeded."""
        found = self.context.driver.each(self.context.requests.pages("/v1/artifacts", job_id=self.id))
        return [parse(Artifact, one, context=self.context) for one in found]

    def artifact(self, format: str = "safetensors") -> "Artifact":
        """The file of one format. Raises NotOffered."""
        return chosen(self, self.artifacts(), format)

    def cancel(self) -> Self:
        """Stop it for good: at once while it waits, within a step while it runs."""
        return self._ask("cancel")

    def pause(self) -> Self:
        """Save its state and free the device."""
        return self._ask("pause")

    def resume(self) -> Self:
        """Go on from where it was paused."""
        return self._ask("resume")

    def delete(self) -> None:
        """Delete it with its files, if it has ended."""
        self.context.driver.run(self.context.requests.delete(self._path))

    def _ask(self, what: str) -> Self:
        asked = self.context.requests.post(f"{self._path}/{what}", repeatable=True)
        return self._as(self.context.driver.run(asked))

    def _as(self, body: dict[str, Any]) -> Self:
        return parse(type(self), body, context=self.context)


@dataclass(frozen=True, kw_only=True)
class Artifact(ArtifactFields):
    """A file of a job's result."""

    context: Context = field(repr=False, compare=False)

    def download(self, target: Path | str, progress: Progress | None = None) -> Path:
        """Save it as `target`, or under its own name in the folder `target`. What an earlier, broken
        download has left is gone on from; nothing is at `target` before its SHA-256 is right.

        Args:
            progress: called with the bytes that are there and those of the whole.

        Raises:
            ChecksumMismatch, ConnectionFailed, ApiError
        """
        return self.context.driver.run(download(self.context.requests, self, Path(target), progress))


A = TypeVar("A", bound=ArtifactFields)


def chosen(job: JobFields, offered: list[A], format: str) -> A:
    """The artifact of a format. Raises NotOffered."""
    for one in offered:
        if one.format == format:
            return one
    if not offered:
        raise NotOffered(f"{job.id} has no files: it is {job.state}")
    raise NotOffered(f"{job.id} offers no {format!r}, but {', '.join(one.format for one in offered)}")


def _events(context: Context, path: str, after: int) -> Iterator[Event]:
    found = context.driver.each(follow(context.requests, path, after))
    return (parse(Event, body) for kind, body in found if kind != END)
