"""A small client of the REST API."""

import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx2

_CHUNK = 1 << 20
_RECONNECT_SECONDS = 1.0


class ApiError(Exception):
    """The server refused. `problem` is its RFC 9457 answer."""

    def __init__(self, problem: dict[str, Any]) -> None:
        super().__init__(f"{problem.get('status')} {problem.get('code')}: {problem.get('detail')}")
        self.problem = problem


class DownloadError(Exception):
    """What came is not what the server announced."""


class Client:
    """Talks to one server.

    Args:
        base_url: such as http://127.0.0.1:8000.
        api_key: needed once the server has keys.
    """

    def __init__(self, base_url: str, api_key: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx2.Client(base_url=base_url, headers=headers, timeout=60)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> dict[str, Any]:
        """A resource.

        Raises:
            ApiError
        """
        return self._json(self._http.get(path, params=params))

    def post(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Make or ask for something.

        Raises:
            ApiError
        """
        return self._json(self._http.post(path, json=body))

    def delete(self, path: str) -> None:
        """Delete a resource.

        Raises:
            ApiError
        """
        answer = self._http.delete(path)
        if answer.is_error:
            self._json(answer)

    def upload(self, file: Path) -> dict[str, Any]:
        """Stream a file to the server, which must have received what was sent.

        Raises:
            ApiError
        """
        with file.open("rb") as stream:
            answer = self._http.put(
                "/v1/uploads",
                content=iter(lambda: stream.read(_CHUNK), b""),
                params={"file_name": file.name},
                timeout=None,
            )
        return self._json(answer)

    def wait_for_dataset(self, dataset_id: str) -> dict[str, Any]:
        """The data set, once it is `ready` or `invalid`.

        Raises:
            ApiError
        """
        *_, (_end, dataset) = self.follow(f"/v1/datasets/{dataset_id}")
        return dataset

    def follow(self, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The events of a data set or a job, live, as (type, event); the last is ("end", itself).

        A connection that breaks is taken up again after the last event seen.

        Args:
            path: such as /v1/jobs/job_….

        Raises:
            ApiError
        """
        last = 0
        while True:
            try:
                yield from self._stream(f"{path}/events/stream", last)
            except _Broken as broken:
                last = broken.last
                time.sleep(_RECONNECT_SECONDS)
            else:
                return

    def _stream(self, path: str, last: int) -> Iterator[tuple[str, dict[str, Any]]]:
        try:
            with self._http.stream("GET", path, headers={"Last-Event-ID": str(last)}) as answer:
                if answer.status_code != 200:
                    answer.read()
                    self._json(answer)
                kind = ""
                for line in answer.iter_lines():
                    field, _, value = line.partition(": ")
                    if field == "event":
                        kind = value
                    elif field == "data":
                        data = json.loads(value)
                        last = data.get("seq", last)
                        yield kind, data
                        if kind == "end":
                            return
        except httpx2.TransportError as error:
            raise _Broken(last) from error
        raise _Broken(last)

    def download(self, artifact: dict[str, Any], target: Path) -> Path:
        """Save an artifact's content, and check its SHA-256.

        Raises:
            ApiError
            DownloadError: the bytes differ; nothing is left at `target`.
        """
        digest = hashlib.sha256()
        partial = target.with_name(target.name + ".part")
        with self._http.stream("GET", f"/v1/artifacts/{artifact['id']}/content") as answer:
            if answer.status_code != 200:
                answer.read()
                self._json(answer)
            with partial.open("wb") as file:
                for chunk in answer.iter_bytes(_CHUNK):
                    digest.update(chunk)
                    file.write(chunk)
        if digest.hexdigest() != artifact["sha256"]:
            partial.unlink()
            raise DownloadError(f"{target.name}: SHA-256 {digest.hexdigest()}, not {artifact['sha256']}")
        partial.replace(target)
        return target

    @staticmethod
    def _json(answer: httpx2.Response) -> dict[str, Any]:
        try:
            body: dict[str, Any] = answer.json()
        except ValueError:
            body = {"status": answer.status_code, "code": "not_json", "detail": answer.text[:200]}
        if answer.is_error:
            raise ApiError(body)
        return body


class _Broken(Exception):
    """The stream ended before its end; `last` is the last event seen."""

    def __init__(self, last: int) -> None:
        super().__init__(f"after event {last}")
        self.last = last
