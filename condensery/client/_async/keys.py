"""API keys."""

from collections.abc import AsyncIterator
from datetime import datetime

from condensery.client import bodies
from condensery.client._async.requests import AsyncRequests
from condensery.client.fields import Key
from condensery.client.parsing import parse


class AsyncKeys:
    """`client.keys`"""

    def __init__(self, requests: AsyncRequests) -> None:
        self._requests = requests

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
        at = None if expires_at is None else expires_at.isoformat()
        body = bodies.given({"name": name, "scope": scope, "owner": owner, "expires_at": at})
        return parse(Key, await self._requests.post("/v1/keys", body))

    def list(self) -> AsyncIterator[Key]:
        """All of them, newest first, revoked and expired ones too."""
        return (parse(Key, row) async for row in self._requests.pages("/v1/keys"))

    async def revoke(self, key: Key | str) -> None:
        """Revoke it for good."""
        await self._requests.delete(f"/v1/keys/{bodies.id_of(key)}")
