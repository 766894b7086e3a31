"""The form of a new job: its estimate follows what is set."""

from playwright.sync_api import Browser, Page, expect

from tests.support.browser import assert_fits_and_is_accessible, sign_in, watched
from tests.support.service import Service


def test_the_estimate_says_what_is_to_be_mended(
    browser: Browser, service: Service, token: str, dataset_id: str
) -> None:
    with watched(browser, service.url, allowed=("422",)) as page:
        sign_in(page, token)
        page.goto(f"/jobs/new?dataset={dataset_id}")
        ipc, estimate = page.locator("[name=ipc]"), page.locator("#estimate")
        ipc.fill("0")
        expect(estimate).to_contain_text("ipc: Input should be greater than or equal to 1")
        expect(ipc).to_be_focused()
        assert_fits_and_is_accessible(page)
        estimate.get_by_role("link", name="ipc").click()
        expect(ipc).to_be_focused()
        ipc.fill("3")
        expect(estimate).to_contain_text("30 images")
        expect(estimate.get_by_role("link", name="ipc")).to_have_count(0)


def test_after_going_back_the_estimate_is_of_what_the_form_shows(page: Page, dataset_id: str) -> None:
    page.goto(f"/jobs/new?dataset={dataset_id}")
    estimate = page.locator("#estimate .facts")
    before = estimate.inner_text()
    page.locator("[name=recipe]").select_option("dm")
    expect(estimate).not_to_have_text(before, use_inner_text=True)
    after = estimate.inner_text()
    page.goto("/jobs")
    page.go_back()
    expect(page.locator("[name=recipe]")).to_have_value("dm")  # as the browser fills it in again
    expect(estimate).to_have_text(after, use_inner_text=True)
