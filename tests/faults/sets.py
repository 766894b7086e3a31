"""Condensed sets of a place: asked for, and what they come to if nothing happens to them."""

from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from condensery import Client
from tests.support.processes import wait_for


class Sets:
    """All of them hold the images that one job has made, once or twice."""

    def __init__(self, client: Client, url: str, folder: Path, made: str) -> None:
        self._client = client
        self.made = made
        file = folder / "condensed.safetensors"
        offered = {one["format"]: one["id"] for one in self._artifacts(made)}
        content = httpx2.get(f"{url}/v1/artifacts/{offered['safetensors']}/content").raise_for_status()
        file.write_bytes(content.content)
        self.upload_id = client.upload(file).id
        self._known: dict[bool, dict[str, str]] = {}
        self.one_read = self.read()
        self.settle(self.one_read)
        self.settle(self.merge())

    def read(self) -> str:
        """The id of a set that is to be read from an upload."""
        body = {"upload_id": self.upload_id, "name": "ours again"}
        return str(self._client.post("/v1/condensed-sets", body)["id"])

    def merge(self, *parents: str) -> str:
        """The id of a set that is to be merged of two; unless said otherwise, one made and one read."""
        body = {"condensed_set_ids": parents or (self.made, self.one_read), "name": "both"}
        return str(self._client.post("/v1/condensed-sets/merge", body)["id"])

    def get(self, set_id: str) -> dict[str, Any]:
        return self._client.get(f"/v1/condensed-sets/{set_id}")

    def delete(self, set_id: str) -> None:
        self._client.delete(f"/v1/condensed-sets/{set_id}")

    def settle(self, set_id: str, state: str = "ready") -> None:
        """Wait until it is read or merged, to the same bytes as the first that was."""
        wait_for(partial(self._has_ended, set_id), every=0.2)
        row = self.get(set_id)
        assert row["state"] == state, (row["state"], row["problem"])
        found = {one["format"]: one["sha256"] for one in self._artifacts(set_id)}
        if state == "ready":
            assert found == self._known.setdefault(row["parents"] is None, found), f"{set_id}: other bytes"
        else:
            assert found == {}

    def _has_ended(self, set_id: str) -> bool:
        return self.get(set_id)["finished_at"] is not None

    def _artifacts(self, set_id: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._client.get(f"/v1/condensed-sets/{set_id}/artifacts")["data"]
        return found
