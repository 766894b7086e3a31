"""For everybody: by the keyboard, on a phone, in the dark, without JavaScript, over a slow line."""

from collections.abc import Callable
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import PHONE, assert_fits_and_is_accessible, sign_in, watched
from tests.support.service import Service

FIRST_PAGE_BYTES = 60_000


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has this text or label has the focus, visibly."""
    for _ in range(80):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "(document.activeElement.labels?.[0] ?? document.activeElement).textContent.trim()"
        )
        if found.startswith(name):
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", name
            return
    raise AssertionError(f"{name} is not reached by Tab")


def test_by_the_keyboard_alone(browser: Browser, service: Service, token: str, dataset_id: str) -> None:
    with watched(browser, service.url, allowed=("422",)) as page:
        page.goto("/sign-in")
        expect(page.get_by_label("API key")).to_be_focused()  # by itself, though only once it is drawn
        page.keyboard.type(token)
        page.keyboard.press("Enter")
        page.wait_for_url("**/datasets")
        tab_to(page, "Skip to the content")
        page.keyboard.press("Enter")
        tab_to(page, "digits")
        page.keyboard.press("Enter")
        page.wait_for_url("**/datasets/ds_*")
        tab_to(page, "Condense it")
        page.keyboard.press("Enter")
        page.wait_for_url("**/jobs/new?*")
        tab_to(page, "ipc")
        page.keyboard.press("Control+A")
        page.keyboard.type("0")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("ipc: Input should be greater than or equal to 1")
        assert_fits_and_is_accessible(page)
        tab_to(page, "ipc")  # the fault, which leads to the field
        page.keyboard.press("Enter")
        expect(page.locator("[name=ipc]")).to_be_focused()
        page.keyboard.press("Control+A")
        page.keyboard.type("1")
        tab_to(page, "All settings")
        page.keyboard.press("Enter")
        tab_to(page, "Start the job")
        page.keyboard.press("Enter")
        page.wait_for_url("**/jobs/job_*")
        tab_to(page, "Cancel")
        page.keyboard.press("Enter")
        expect(page.locator("#summary")).to_contain_text("cancelled")


@pytest.mark.parametrize("look", ["wide light", "phone dark"])
def test_every_page_is_accessible(
    browser: Browser,
    service: Service,
    token: str,
    api: httpx2.Client,
    dataset_id: str,
    finished: str,
    start_endless: Callable[[], str],
    look: str,
) -> None:
    other = start_endless()
    api.post(f"/v1/jobs/{other}/cancel")
    context: dict[str, Any] = {"color_scheme": look.split()[1]}
    if look.startswith("phone"):
        context["viewport"] = PHONE
    pages = [
        "/datasets", f"/datasets/{dataset_id}", "/jobs", "/jobs/new", f"/jobs/new?dataset={dataset_id}",
        f"/jobs/{finished}", f"/jobs/{finished}/result", "/compare", f"/compare?job={finished}",
        f"/compare?job={finished}&job={other}", "/usage",
        "/keys", "/jobs/job_0", f"/compare?{'&'.join(f'job={n}' for n in range(6))}", "/sign-in",
    ]  # fmt: skip
    with watched(browser, service.url, allowed=("404", "422"), **context) as page:
        sign_in(page, token)
        for path in pages:
            page.goto(path, wait_until="networkidle")
            page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            assert_fits_and_is_accessible(page)


def test_the_first_page_is_small_and_nothing_moves(browser: Browser, service: Service, token: str) -> None:
    with watched(browser, service.url) as page:
        sign_in(page, token)
        sizes: list[int] = []
        page.on("requestfinished", lambda request: sizes.append(request.sizes()["responseBodySize"]))
        page.goto("/datasets", wait_until="networkidle")
        assert 0 < sum(sizes) < FIRST_PAGE_BYTES
        shift = page.evaluate(
            """() => new Promise((done) => {
                let sum = 0;
                new PerformanceObserver((list) => {
                    for (const entry of list.getEntries()) if (!entry.hadRecentInput) sum += entry.value;
                }).observe({ type: "layout-shift", buffered: true });
                requestAnimationFrame(() => requestAnimationFrame(() => done(sum)));
            })"""
        )
        assert shift < 0.01


def test_without_javascript_everything_can_be_read(
    browser: Browser, service: Service, token: str, dataset_id: str, finished: str
) -> None:
    with watched(browser, service.url, java_script_enabled=False) as page:
        page.goto("/sign-in")
        page.get_by_label("API key").fill(token)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_text("With curl instead").click()
        expect(page.get_by_text("curl -T digits.zip")).to_be_visible()
        page.goto(f"/jobs/{finished}")
        page.locator("#points").get_by_text("As a table").click()
        expect(page.get_by_role("columnheader", name="Iteration")).to_be_visible()
        page.get_by_role("link", name="Images, results and downloads").click()
        with page.expect_download() as download:
            page.get_by_role("link", name="condensed.npz").click()
        assert download.value.path().stat().st_size > 0
        page.goto(f"/jobs/new?dataset={dataset_id}")
        page.locator("[name=ipc]").fill("3")
        page.get_by_role("button", name="Estimate anew").click()
        expect(page.locator("#estimate")).to_contain_text("30 images")
        page.get_by_role("button", name="Start the job").click()
        page.wait_for_url("**/jobs/job_*")
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#summary")).to_contain_text("cancel")
