"""What data sets and jobs have in common: they are rows of the server with a history and an end."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from condensery.client._async.events import END, ended, follow
from condensery.client._async.requests import AsyncRequests
from condensery.client.fields import Event, Resource
from condensery.client.parsing import parse


@dataclass(frozen=True, kw_only=True)
class AsyncRow(Resource):
    """A row of the list at `collection`, such as /v1/jobs."""

    collection: ClassVar[str]
    requests: AsyncRequests = field(repr=False, compare=False)

    async def refresh(self) -> Self:
        """As it is now."""
        return self._as(await self.requests.get(self._path))

    def events(self, after: int = 0) -> AsyncIterator[Event]:
        """Its history after event number `after`, and then its future, live, until its end."""
        found = follow(self.requests, self._path, after)
        return (parse(Event, body) async for kind, body in found if kind != END)

    async def delete(self) -> None:
        """Delete it with its files; refused while it is worked on, or needed by what is."""
        await self.requests.delete(self._path)

    async def _ended(self) -> Self:
        return self._as(await ended(self.requests, self._path))

    @property
    def _path(self) -> str:
        return f"{self.collection}/{self.id}"

    def _as(self, body: dict[str, Any]) -> Self:
        return parse(type(self), body, requests=self.requests)
