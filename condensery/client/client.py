"""The client that waits for answers."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from condensery.client import bodies
from condensery.client.drivers import Driver
from condensery.client.events import follow
from condensery.client.fields import Key, Upload, Usage, parse
from condensery.client.packing import packed
from condensery.client.requests import Requests
from condensery.client.resources import Artifact, Context, Dataset, Job
from condensery.client.upload import Progress, upload


class Client:
    """Talks to one server.

    Lost connections, and answers that say "later", are tried again; an upload, a data set or a
    job carries an Idempotency-Key, so that it is made once.

    Args:
        server: such as http://127.0.0.1:8000.
        api_key: needed once the server has keys.
        retries: failures in a row that are borne, with pauses that grow to 8 s; ten take about 40 s.

    Raises:
        ValueError: `server` is no address, or `api_key` cannot be a key.
    """

    def __init__(self, server: str, api_key: str | None = None, *, retries: int = 10) -> None:
        address = bodies.address(server)
        self._http = httpx2.Client(base_url=address, headers=bodies.headers(api_key), timeout=bodies.TIMEOUT)
        self._context = Context(Driver(self._http), Requests(address, retries))
        self.datasets = Datasets(self, self._context)
        self.jobs = Jobs(self._context)
        self.artifacts = Artifacts(self._context)
        self.keys = Keys(self._context)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def upload(self, source: Path | str, progress: Progress | None = None) -> Upload:
        """Send a file, or a folder as a zip. What was sent of it before, even by a process that was killed,
        is not sent again.

        Args:
            progress: called with the bytes that were sent and those of the whole.

        Raises:
            ApiError, ConnectionFailed, ChecksumMismatch, FileChanged, NothingToSend
            OSError: it cannot be read.
        """
        with packed(Path(source)) as (file, name):
            return self._context.driver.run(upload(self._context.requests, file, name, progress))

    def usage(self) -> Usage:
        """What the caller stores and runs, beside the limits."""
        return parse(Usage, self.get("/v1/usage"))

    def get(self, path: str, **params: str | int) -> dict[str, Any]:
        """Any resource, as JSON: for what has no method of its own."""
        return self._context.driver.run(self._context.requests.get(path, **params))

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make or ask for anything, as JSON."""
        return self._context.driver.run(self._context.requests.post(path, body))

    def delete(self, path: str) -> None:
        """Delete anything."""
        self._context.driver.run(self._context.requests.delete(path))

    def follow(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events of the data set or job at `path`, as JSON; the last is ("end", itself)."""
        return self._context.driver.each(follow(self._context.requests, path))


class Datasets:
    """`client.datasets`"""

    def __init__(self, client: Client, context: Context) -> None:
        self._client, self._context = client, context

    def add(
        self,
        source: Upload | Path | str,
        *,
        name: str | None = None,
        license: str | None = None,
        image_size: int | None = None,
        channels: int | None = None,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> Dataset:
        """Have an upload, or a file or folder of this machine, which is uploaded first, read by a worker:
        `wait()` for the answer. Settings that are not given are decided by what is found.

        Args:
            image_size: edge of the square images in px.
            channels: 1, 3 or 4.
        """
        sent = source if isinstance(source, Upload) else self._client.upload(source, progress)
        body = bodies.dataset(
            upload_id=sent.id, name=name, license=license, image_size=image_size, channels=channels, seed=seed
        )
        return self._made(body)

    def add_server_path(self, path: str, **settings: str | int) -> Dataset:
        """The same, of a file or folder that lies on the server, under one of its import directories."""
        return self._made(bodies.dataset(path=path, **settings))

    def get(self, dataset_id: str) -> Dataset:
        return self._as(self._client.get(f"/v1/datasets/{dataset_id}"))

    def list(self, *, state: str | None = None) -> Iterator[Dataset]:
        """All of them, newest first, read page by page."""
        rows = self._context.requests.pages("/v1/datasets", state=state)
        return (self._as(row) for row in self._context.driver.each(rows))

    def _made(self, body: dict[str, Any]) -> Dataset:
        made = self._context.requests.post("/v1/datasets", body, repeatable=True)
        return self._as(self._context.driver.run(made))

    def _as(self, body: dict[str, Any]) -> Dataset:
        return parse(Dataset, body, context=self._context)


class Jobs:
    """`client.jobs`"""

    def __init__(self, context: Context) -> None:
        self._context = context

    def submit(
        self,
        dataset: Dataset | str,
        *,
        ipc: int,
        name: str | None = None,
        priority: str | None = None,
        **settings: Any,
    ) -> Job:
        """Queue a condensation of a data set that is ready.

        Args:
            dataset: it or its id.
            ipc: synthetic images per class.
            settings: any other of the API's, such as recipe="fast", seed=7 or evaluation={"networks": 3}.
        """
        body = bodies.job(dataset, ipc=ipc, name=name, priority=priority, **settings)
        made = self._context.requests.post("/v1/jobs", body, repeatable=True)
        return self._as(self._context.driver.run(made))

    def get(self, job_id: str) -> Job:
        return self._as(self._context.driver.run(self._context.requests.get(f"/v1/jobs/{job_id}")))

    def list(self, *, state: str | None = None, dataset: Dataset | str | None = None) -> Iterator[Job]:
        """All of them, newest first, read page by page; `evaluations` and `accuracies` are left empty."""
        rows = self._context.requests.pages("/v1/jobs", state=state, dataset_id=bodies.id_of(dataset))
        return (self._as(row) for row in self._context.driver.each(rows))

    def _as(self, body: dict[str, Any]) -> Job:
        return parse(Job, body, context=self._context)


class Artifacts:
    """`client.artifacts`"""

    def __init__(self, context: Context) -> None:
        self._context = context

    def get(self, artifact_id: str) -> Artifact:
        found = self._context.driver.run(self._context.requests.get(f"/v1/artifacts/{artifact_id}"))
        return parse(Artifact, found, context=self._context)

    def list(self, *, job: Job | str | None = None, format: str | None = None) -> Iterator[Artifact]:
        """All of them, newest first, read page by page."""
        rows = self._context.requests.pages("/v1/artifacts", job_id=bodies.id_of(job), format=format)
        return (parse(Artifact, row, context=self._context) for row in self._context.driver.each(rows))


class Keys:
    """`client.keys`"""

    def __init__(self, context: Context) -> None:
        self._context = context

    def create(
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
        return parse(Key, self._context.driver.run(self._context.requests.post("/v1/keys", body)))

    def list(self) -> Iterator[Key]:
        """All of them, newest first, revoked and expired ones too."""
        rows = self._context.driver.each(self._context.requests.pages("/v1/keys"))
        return (parse(Key, row) for row in rows)

    def revoke(self, key: Key | str) -> None:
        """Revoke it for good."""
        self._context.driver.run(self._context.requests.delete(f"/v1/keys/{bodies.id_of(key)}"))
