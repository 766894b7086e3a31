"""Uploads from the page: several at once, broken off, refused, and of files that change."""

import hashlib
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browser import (
    assert_fits_and_is_accessible,
    drop,
    drop_path,
    expect_ended,
    sign_in,
    watched,
)
from tests.support.service import Service

PIECE = 4 << 20


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Of two pieces; no data set."""
    file = tmp_path / "large.bin"
    file.write_bytes(b"0123456789abcdef" * (5 << 16))
    return file


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """Of one piece; no data set either."""
    file = tmp_path / "small.bin"
    file.write_bytes(b"0123456789abcdef")
    return file


def datasets(api: httpx2.Client, name: str) -> int:
    return sum(one["name"] == name for one in api.get("/v1/datasets").json()["data"])


def test_upload_is_paused_and_goes_on_after_a_reload(page: Page, api: httpx2.Client, large: Path) -> None:
    """What was sent is not sent again: of a file of two pieces, the second is let through only later."""
    sent: list[int] = []
    held: list[Route] = []

    def second_piece_waits(route: Route) -> None:
        if route.request.method == "PATCH":
            sent.append(int(route.request.headers["upload-offset"]))
        if sent in ([], [0]):
            route.continue_()
        else:
            held.append(route)

    page.route("**/v1/uploads/*", second_piece_waits)
    drop(page, (large, "large.bin"))
    expect(page.locator(".transfer progress")).to_have_attribute("value", str(4 << 20))
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".transfer")).to_contain_text("Paused at 4.19 MB of 5.24 MB.")
    for route in held:
        route.abort()  # or it would go on once nothing holds it
    page.unroute_all(behavior="ignoreErrors")

    page.reload()
    expect(page.locator(".transfer")).to_contain_text("Choose the same file again")
    assert_fits_and_is_accessible(page)
    page.goto("/condensed-sets")  # as what it was not begun
    expect(page.locator("#drop")).to_be_visible()
    expect(page.locator(".transfer")).to_have_count(0)
    page.goto("/datasets")
    with page.expect_request(lambda request: request.method == "PATCH") as again:
        drop(page, (large, "large.bin"))
    assert again.value.headers["upload-offset"] == str(4 << 20)
    page.wait_for_url("**/datasets/ds_*")
    expect_ended(page, "invalid")
    expect(page.locator("#live")).to_contain_text("It cannot be used")
    assert_fits_and_is_accessible(page)
    whole = [one for one in api.get("/v1/uploads").json()["data"] if one["file_name"] == "large.bin"]
    assert [one["sha256"] for one in whole] == [hashlib.sha256(large.read_bytes()).hexdigest()]
    assert sent == [0, 4 << 20]


def test_a_refused_data_set_is_asked_for_again_and_made_once(
    browser: Browser, service: Service, token: str, api: httpx2.Client, small: Path
) -> None:
    """First the answer is lost, then there is no room, and then there is."""
    keys: list[str | None] = []

    def refuse(route: Route) -> None:
        keys.append(route.request.headers.get("idempotency-key"))
        if len(keys) == 1:
            route.fetch()
            route.abort()
        elif len(keys) == 2:
            problem = {
                "status": 429,
                "code": "quota_exceeded",
                "detail": "2 TB are stored, which is the limit",
            }
            route.fulfill(status=429, json=problem, content_type="application/problem+json")
        else:
            route.continue_()

    with watched(browser, service.url, allowed=("Failed to load resource",)) as page:
        sign_in(page, token)
        page.route("**/v1/datasets", refuse)
        drop(page, (small, "once.bin"))
        failed = page.locator(".transfer")
        expect(failed).to_contain_text(
            "which is the limit. What was sent is kept: go on when that is mended."
        )
        assert_fits_and_is_accessible(page)
        page.get_by_role("button", name="Go on").click()
        page.wait_for_url("**/datasets/ds_*")
    assert len(keys) == 3 and len(set(keys)) == 1 and keys[0]
    assert datasets(api, "once.bin") == 1


def test_several_files_are_sent_two_at_a_time(page: Page, api: httpx2.Client, small: Path) -> None:
    begun: list[Route] = []

    def first_two_wait(route: Route) -> None:
        if len(begun) < 2:
            begun.append(route)
        else:
            route.continue_()

    page.route("**/v1/uploads", first_two_wait)
    names = [f"one of three {n}.bin" for n in range(3)]
    drop(page, *((small, name) for name in names))
    expect(page.locator(".transfer")).to_have_count(3)
    expect(page.locator(".transfer", has_text="Waits until others are sent.")).to_have_count(1)
    while len(begun) < 2:
        page.wait_for_timeout(50)
    links = page.locator(".transfer a")
    begun[0].continue_()
    expect(links).to_have_count(2)  # the third took its place
    begun[1].continue_()
    expect(links).to_have_count(3)
    assert page.url.endswith("/datasets")
    assert [datasets(api, name) for name in names] == [1, 1, 1]
    assert_fits_and_is_accessible(page)
    links.first.click()
    page.wait_for_url("**/datasets/ds_*")


def test_discarding_one_says_nothing_of_another(page: Page, small: Path) -> None:
    page.route("**/v1/uploads/*", lambda route: None)  # the bytes stay away
    drop(page, (small, "kept.bin"), (small, "dropped.bin"))
    expect(page.locator(".transfer", has_text="0 B of 16 B")).to_have_count(2)
    page.locator(".transfer", has_text="dropped.bin").get_by_role("button", name="Discard").click()
    expect(page.locator(".transfer")).to_have_count(1)
    expect(page.get_by_text("was begun and is not whole")).to_have_count(0)
    expect(page.locator("#file")).to_be_focused()
    page.unroute_all(behavior="ignoreErrors")


def test_what_is_tried_again_pauses_at_once(
    browser: Browser, service: Service, token: str, small: Path
) -> None:
    tries: list[Route] = []

    def too_slow(route: Route) -> None:
        tries.append(route)
        route.fulfill(status=408, json={"detail": "nothing came of the body"})

    with watched(browser, service.url, allowed=("Failed to load resource",)) as page:
        sign_in(page, token)
        page.route(
            "**/v1/uploads/*",
            lambda route: too_slow(route) if route.request.method == "PATCH" else route.continue_(),
        )
        drop(page, (small, "slow.bin"))
        transfer = page.locator(".transfer")
        expect(transfer).to_contain_text("Nothing came of the body. Trying again.")
        while len(tries) < 4:  # the next pause is of seconds
            page.wait_for_timeout(100)
        expect(transfer).to_contain_text("Nothing came of the body. Trying again.")
        page.get_by_role("button", name="Pause").click()
        expect(transfer).to_contain_text("Paused at 0 B of 16 B.", timeout=4_000)
        page.get_by_role("button", name="Discard").click()


def test_a_folder_is_to_be_packed(page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "my images"
    folder.mkdir()
    (folder / "one.png").write_bytes(b"x")
    drop_path(page, folder)
    expect(page.locator("#upload-state")).to_have_text(
        "my images is a folder: pack it into a zip, and drop that."
    )
    expect(page.locator(".transfer")).to_have_count(0)


def test_a_file_that_changes_while_it_is_sent(page: Page, large: Path) -> None:
    held: list[Route] = []

    def first_piece_waits(route: Route) -> None:
        if route.request.method == "PATCH":
            held.append(route)
        else:
            route.continue_()

    page.route("**/v1/uploads/*", first_piece_waits)
    drop_path(page, large)
    while not held:  # changed before, there would be no piece to hold
        page.wait_for_timeout(50)
    expect(page.locator(".transfer")).to_contain_text("0 B of 5.24 MB")
    large.write_bytes(b"another" * (1 << 20))
    held[0].continue_()
    expect(page.locator(".transfer")).to_contain_text("The file cannot be read any more: it was changed")
    page.get_by_role("button", name="Discard").click()
    expect(page.locator(".transfer")).to_have_count(0)
