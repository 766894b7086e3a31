"""The API dies, and its clients do."""

import hashlib
import random
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx2

from condensery import ConnectionFailed
from tests.faults.cases.matrix import add, case
from tests.faults.place import JOB, Place
from tests.support.processes import wait_for


@case("F23", quick=True)
def kill_9_of_the_api_between_commit_and_wake_up(place: Place) -> None:
    place.arm("job.committed", "kill")
    before = {job["id"] for job in place.client.get("/v1/jobs")["data"]}
    try:
        place.submit()
    except ConnectionFailed:
        pass
    else:
        raise AssertionError("the API was to die")
    place.service.start_api()
    (made,) = {job["id"] for job in place.client.get("/v1/jobs")["data"]} - before
    place.settle(made)


def _upload_at(point: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        before = _uploads(place)
        place.arm(point, "kill")
        try:
            _put(place)
        except httpx2.TransportError:
            pass
        else:
            raise AssertionError("the API was to die")
        place.service.start_api()
        assert _uploads(place) == before
        place.client.delete(f"/v1/uploads/{_put(place)}")

    return run


def _put(place: Place) -> str:
    """In one plain request, which is not tried again."""
    url = f"{place.service.url}/v1/uploads"
    answer = httpx2.put(url, content=place.digits.read_bytes(), timeout=60).raise_for_status()
    return str(answer.json()["id"])


for _point in ("upload.received", "upload.stored"):
    add("F23", f"kill -9 of the API at {_point}", _upload_at(_point))


@case("F23")
def kill_9_of_the_api_in_the_middle_of_an_upload(place: Place) -> None:
    before, content = _uploads(place), place.digits.read_bytes()
    cut = random.randrange(1, len(content))

    def body() -> Iterator[bytes]:
        yield content[:cut]
        wait_for(lambda: any((place.service.data_dir / "tmp").iterdir()))
        place.service.kill_api()
        yield content[cut:]

    with suppress(httpx2.TransportError), httpx2.Client(base_url=place.service.url, timeout=60) as http:
        http.put("/v1/uploads", content=body())
        raise AssertionError("the API was dead")
    place.service.start_api()
    assert _uploads(place) == before
    place.client.delete(f"/v1/uploads/{_put(place)}")


@case("F24")
def an_upload_that_breaks_off(place: Place) -> None:
    before = _uploads(place)

    def body() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise ConnectionError("the client is gone")

    try:
        with httpx2.Client(base_url=place.service.url) as http:
            http.put("/v1/uploads", content=body())
    except ConnectionError:
        pass
    assert _uploads(place) == before


@case("F35")
def the_same_request_twenty_times_at_once(place: Place) -> None:
    body = {"dataset_id": place.dataset_id, **JOB}
    key = f"k-{random.getrandbits(64)}"

    def post(_: int) -> httpx2.Response:
        return httpx2.post(
            f"{place.service.url}/v1/jobs", json=body, headers={"Idempotency-Key": key}, timeout=60
        )

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(post, range(20)))
    assert {answer.status_code for answer in answers} <= {200, 202, 409}
    made = {answer.json()["id"] for answer in answers if answer.status_code != 409}
    assert len(made) == 1 and sum(answer.status_code == 202 for answer in answers) == 1
    place.settle(*made)


@case("F39")
def a_stream_over_a_restart_of_the_api(place: Place) -> None:
    job_id = place.submit()
    seen: list[int] = []
    restarted = False
    for kind, event in place.client.follow(f"/v1/jobs/{job_id}"):
        if kind != "end":
            seen.append(event["seq"])
        if kind == "checkpoint" and not restarted:
            place.service.kill_api()
            place.service.start_api()
            restarted = True
    assert restarted and seen == list(range(1, len(seen) + 1))
    place.settle(job_id)


@case("F38")
def a_download_over_a_restart_of_the_api(place: Place) -> None:
    job_id = place.submit()
    place.settle(job_id)
    (offered,) = (
        one for one in place.client.get(f"/v1/jobs/{job_id}/artifacts")["data"] if one["format"] == "npz"
    )
    url, half = f"{place.service.url}/v1/artifacts/{offered['id']}/content", offered["size"] // 2
    first = httpx2.get(url, headers={"Range": f"bytes=0-{half - 1}"})
    place.service.kill_api()
    place.service.start_api()
    rest = httpx2.get(url, headers={"Range": f"bytes={half}-", "If-Range": first.headers["ETag"]})
    assert (first.status_code, rest.status_code) == (206, 206)
    assert hashlib.sha256(first.content + rest.content).hexdigest() == offered["sha256"]
    stale = httpx2.get(url, headers={"Range": f"bytes={half}-", "If-Range": '"another"'})
    assert (stale.status_code, len(stale.content)) == (200, offered["size"])
    place.client.delete(f"/v1/jobs/{job_id}")
    assert httpx2.get(url, headers={"Range": "bytes=0-9"}).status_code == 404


def _uploads(place: Place) -> int:
    return len(place.client.get("/v1/uploads", limit=100)["data"])
