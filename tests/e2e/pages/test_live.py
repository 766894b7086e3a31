"""How a page keeps itself up to date, with a stream and a service that the test speaks for."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browser import assert_fits_and_is_accessible, sign_in, watched
from tests.support.service import Service


def event(kind: str, data: object) -> str:
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n"


@pytest.fixture
def job(start_endless: Callable[[], str]) -> str:
    return start_endless()


@pytest.fixture
def disturbed(browser: Browser, service: Service, token: str) -> Iterator[Page]:
    """Requests of it may fail."""
    with watched(browser, service.url, allowed=("Failed to load resource",)) as made:
        sign_in(made, token)
        yield made


def test_what_is_unfolded_scrolled_and_focused_stays_so(page: Page, job: str) -> None:
    loads = 0

    def with_a_part_that_changes(route: Route) -> None:
        nonlocal loads
        loads += 1
        part = (
            f'<details><summary>More</summary><pre tabindex="0" aria-label="long">{"x" * 999}</pre></details>'
            f'<p id="loads">{loads}</p>'
        )
        answer = route.fetch()
        begin = '<div id="notices" data-live>'
        assert begin in answer.text()
        route.fulfill(response=answer, body=answer.text().replace(begin, begin + part))

    page.route("**/events/stream", lambda route: route.fulfill(body=event("state", {})))
    page.route(f"**/jobs/{job}", with_a_part_that_changes)
    page.goto(f"/jobs/{job}")
    more, pre, shown = page.get_by_text("More", exact=True), page.get_by_label("long"), page.locator("#loads")
    more.press("Enter")
    expect(pre).to_be_visible()
    page.evaluate("document.querySelector('#notices pre').scrollLeft = 100")
    for _ in range(2):
        expect(shown).not_to_have_text(shown.inner_text())
        expect(more).to_be_focused()
        expect(pre).to_be_visible()
        assert page.evaluate("document.querySelector('#notices pre').scrollLeft") == 100
    pre.focus()
    expect(shown).not_to_have_text(shown.inner_text())
    expect(pre).to_be_focused()
    page.unroute_all(behavior="ignoreErrors")


def test_time_left_is_shown_in_every_phase_that_tells_it(page: Page, job: str) -> None:
    text = "random, network 1 of 2: epoch 1 of 4"
    reported: dict[str, Any] = {"phase": "evaluate", "done": 3, "total": 9, "text": text}
    left = {"seconds_left": 65}

    def in_evaluation(route: Route) -> None:
        answer = route.fetch()
        body = answer.text().replace('data-phase="condense"', 'data-phase="evaluate"')
        route.fulfill(response=answer, body=body)

    page.route(
        "**/events/stream", lambda route: route.fulfill(body=event("progress", {"data": reported | left}))
    )
    page.route(f"**/jobs/{job}", in_evaluation)
    page.goto(f"/jobs/{job}")
    expect(page.locator("#bar-left")).to_have_text("· 1 min 5 s left")
    expect(page.locator("#bar-text")).to_contain_text(text)
    left.clear()
    expect(page.locator("#bar-left")).to_be_empty()
    page.unroute_all(behavior="ignoreErrors")


def test_a_stream_that_is_refused_is_no_broken_connection(disturbed: Page, job: str) -> None:
    refusal = {"status": 429, "detail": "5 event streams of yours are open, which is the limit"}

    def refuse(route: Route) -> None:
        headers = {"Retry-After": "3"} if refusal["status"] == 503 else {}
        content_type = "application/problem+json"
        status = int(str(refusal["status"]))
        route.fulfill(status=status, json=refusal, headers=headers, content_type=content_type)

    disturbed.route("**/events/stream", refuse)
    disturbed.goto(f"/jobs/{job}")
    notice = disturbed.locator("#connection")
    expect(notice).to_contain_text("which is the limit. Close pages that you do not need.")
    expect(notice).to_contain_text("it is tried again in")
    assert_fits_and_is_accessible(disturbed)
    refusal |= {"status": 503, "detail": "the server is shutting down"}
    expect(notice).to_contain_text("The server is shutting down. What is shown may be old")
    disturbed.unroute_all(behavior="ignoreErrors")
    expect(notice).to_be_empty()


def test_a_curve_is_loaded_or_says_why_not(disturbed: Page, finished: str) -> None:
    held: list[Route] = []
    disturbed.route("**/metrics?*", lambda route: held.append(route))
    disturbed.goto(f"/compare?job={finished}")
    curve = disturbed.locator("#curve")
    expect(curve).to_have_text("The curve is being loaded.")
    assert_fits_and_is_accessible(disturbed)
    held.pop().abort()
    expect(curve).to_contain_text("The curve could not be loaded. The service does not answer.")
    assert_fits_and_is_accessible(disturbed)
    disturbed.unroute_all(behavior="ignoreErrors")
    curve.get_by_role("button", name="Load it again").click()
    expect(curve.locator("canvas")).to_be_visible()
    expect(curve.get_by_text("could not be loaded")).to_be_hidden()


def test_the_slider_takes_the_place_of_the_links(page: Page, finished: str) -> None:
    """They would be stops of Tab that nobody sees."""
    page.goto(f"/jobs/{finished}")
    expect(page.get_by_label("From the start to now")).to_be_visible()
    expect(page.locator("#moments a").first).to_be_hidden()
