"""For everybody: by the keyboard, on a phone, in the dark, without JavaScript, over a slow line."""

from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import (
    assert_fits_and_is_accessible,
    context_of,
    expect_ended,
    sign_in,
    watched,
)
from tests.support.service import Service

FIRST_PAGE_BYTES = 60_000


def tab_to(page: Page, name: str) -> None:
    """Press Tab until what has this text or label has the focus, visibly."""
    for _ in range(120):
        page.keyboard.press("Tab")
        found = page.evaluate(
            """() => {
                const one = document.activeElement;
                return one.ariaLabel ?? (one.labels?.[0] ?? one).textContent.trim();
            }"""
        )
        if found.startswith(name):
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none", name
            return
    raise AssertionError(f"{name} is not reached by Tab")


def test_by_the_keyboard_alone(browser: Browser, service: Service, token: str, digits_zip: Path) -> None:
    with watched(browser, service.url, allowed=("422",)) as page:
        page.goto("/sign-in")
        expect(page.get_by_label("API key")).to_be_focused()  # by itself, though only once it is drawn
        page.keyboard.type(token)
        page.keyboard.press("Enter")
        page.wait_for_url("**/datasets")
        tab_to(page, "Skip to the content")
        page.keyboard.press("Enter")
        tab_to(page, "Drop files here")
        page.locator("#file").set_input_files(digits_zip)  # the dialog is the system's
        page.wait_for_url("**/datasets/ds_*")
        expect_ended(page, "ready")
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
        expect_ended(page, "cancelled")


def test_results_by_the_keyboard_alone(page: Page, finished: str, start_endless: Callable[[], str]) -> None:
    other = start_endless()
    page.goto(f"/jobs/{finished}")
    tab_to(page, "From the start to now")
    page.keyboard.press("Home")
    expect(page.locator("#shown-after")).to_have_text("to start from")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#shown-after")).to_contain_text("after iteration")
    page.goto(f"/jobs/{finished}")
    tab_to(page, "Images, results and downloads")
    page.keyboard.press("Enter")
    page.wait_for_url("**/result")
    tab_to(page, "condensed.npz")
    with page.expect_download() as download:
        page.keyboard.press("Enter")
    assert download.value.path().stat().st_size > 0
    page.goto("/jobs")
    for job_id in (other, finished):  # newest first
        while page.evaluate("document.activeElement.value") != job_id:
            tab_to(page, "Compare ")
        page.keyboard.press("Space")
    tab_to(page, "Compare the ticked ones")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/compare?job={other}&job={finished}")
    expect(page.get_by_role("heading", name="Settings that differ")).to_be_visible()


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
    pages = [
        "/datasets", f"/datasets/{dataset_id}", "/jobs", "/jobs/new", f"/jobs/new?dataset={dataset_id}",
        f"/jobs/{finished}", f"/jobs/{finished}/result", "/compare", f"/compare?job={finished}",
        f"/compare?job={finished}&job={other}", "/usage",
        "/keys", "/jobs/job_0", f"/compare?{'&'.join(f'job={n}' for n in range(6))}", "/sign-in",
    ]  # fmt: skip
    with watched(browser, service.url, allowed=("404", "422"), **context_of(look)) as page:
        sign_in(page, token)
        for path in pages:
            page.goto(path, wait_until="networkidle")
            page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
            assert_fits_and_is_accessible(page)


def test_every_state_is_accessible(
    browser: Browser, service: Service, token: str, start_endless: Callable[[], str]
) -> None:
    """Those that no other test comes by: of nothing yet, of what waits, and of what is refused."""
    start_endless()
    queued = start_endless()
    made = service.run("core.admin", "keys", "create", "--owner", "somebody", "--scope", "write")
    nobodys = made.stdout.split()[-1]
    with watched(browser, service.url, allowed=("403", "422"), **context_of("phone dark")) as page:
        page.goto("/sign-in")
        page.get_by_label("API key").fill("key_mistyped")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("alert")).to_contain_text("This key is not valid")
        assert_fits_and_is_accessible(page)
        sign_in(page, nobodys)
        said = {
            "/datasets": "There is none yet",
            "/jobs": "There is none yet",
            "/jobs/new": "No data set is ready",
            "/compare": "There are no jobs yet",
            "/keys": "Sign in with a key that may do this",
        }
        for path, text in said.items():
            page.goto(path)
            expect(page.locator("main")).to_contain_text(text)
            assert_fits_and_is_accessible(page)
        page.context.clear_cookies()
        sign_in(page, token)
        page.goto(f"/jobs/{queued}")
        expect(page.locator("#summary")).to_contain_text("queued")
        assert_fits_and_is_accessible(page)


def test_a_key_is_made_and_revoked(page: Page, service: Service) -> None:
    page.goto("/keys")
    page.get_by_label("Name").fill("laptop")
    page.get_by_label("Scope").select_option("read")
    page.get_by_role("button", name="Make a key").click()
    made = {"Authorization": f"Bearer {page.locator('#token').inner_text()}"}
    assert_fits_and_is_accessible(page)
    assert httpx2.get(f"{service.url}/v1/jobs", headers=made).status_code == 200
    row = page.get_by_role("row", name="laptop")
    expect(row).to_contain_text("valid")
    page.goto("/keys")
    row.get_by_text("Revoke", exact=True).click()
    row.get_by_role("button", name="Revoke for good").click()
    expect(row).to_contain_text("revoked")
    expect(page.locator("#token")).to_have_count(0)
    assert httpx2.get(f"{service.url}/v1/jobs", headers=made).status_code == 401


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
        expect(page.get_by_text("-T digits.zip")).to_be_visible()
        page.goto(f"/jobs/{finished}")
        page.locator("#points").get_by_text("As a table").click()
        expect(page.get_by_role("columnheader", name="Iteration", exact=True)).to_be_visible()
        page.goto(f"/datasets/{dataset_id}")
        expect(page.get_by_role("img", name="Training images of the class 7")).to_be_visible()
        page.goto(f"/compare?job={finished}")
        expect(page.get_by_role("row", name="condensed, as PNG")).to_be_visible()
        page.goto(f"/jobs/{finished}")
        picture = page.get_by_role("link", name="after iteration 20").get_attribute("href")
        assert picture is not None
        assert page.request.get(picture).headers["content-type"] == "image/png"
        page.get_by_role("link", name="Images, results and downloads").click()
        expect(page.get_by_role("img", name="Synthetic images of the class 7")).to_be_visible()
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
