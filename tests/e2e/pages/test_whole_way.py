"""From a file to the downloaded set, as a person does it with the mouse."""

import hashlib
import re
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import context_of, drop, expect_ended, watched
from tests.support.service import Service

#: What the form is filled in with: seconds of work.
QUICK = {
    "iterations": "60",
    "batch_real": "8",
    "network.width": "8",
    "evaluation.networks": "2",
    "evaluation.epochs": "20",
    "evaluation.points": "3",
    "evaluation.whole_epochs": "1",
}


def fill(page: Page, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        page.locator(f"[name='{name}']").fill(value)


@pytest.mark.parametrize("look", ["wide light", "phone dark"])
def test_from_the_key_to_the_downloaded_set(
    browser: Browser, service: Service, token: str, digits_zip: Path, finished: str, look: str
) -> None:
    with watched(browser, service.url, **context_of(look)) as page:
        page.goto("/")
        assert page.url.endswith("/sign-in?next=%2Fdatasets")
        page.get_by_label("API key").fill(token)
        page.get_by_role("button", name="Sign in").click()

        drop(page, (digits_zip, "my <digits>.zip"))
        page.wait_for_url("**/datasets/ds_*")
        expect_ended(page, "ready")
        expect(page.get_by_role("heading", level=1)).to_have_text("my <digits>.zip")
        expect(page.get_by_role("img", name="Training images of the class 7")).to_be_visible()
        page.get_by_role("link", name="Condense it").click()

        page.locator("[name=ipc]").fill("2")
        expect(page.locator("#estimate")).to_contain_text("20 images")
        page.get_by_text("All settings").click()
        fill(page, QUICK)
        expect(page.locator("#estimate")).to_contain_text("60")
        page.get_by_role("button", name="Start the job").click()

        page.wait_for_url("**/jobs/job_*")
        new = page.url.rpartition("/")[2]
        expect(page.locator("#curve canvas")).to_be_visible()
        curve = page.get_by_role("img", name="Test accuracy by iteration")
        expect(curve).to_be_visible()
        expect(page.locator("#results")).to_contain_text("condensed, as PNG")
        expect(curve.locator("circle")).to_have_count(4)  # at 15, 30 and 45, and of the finished set
        expect(curve.locator("circle.finished")).to_have_count(1)
        expect(curve.locator("line.whole")).to_have_count(1)
        expect(curve).to_have_accessible_name(re.compile("after 15 to .* after 60; .*the whole set"))
        page.locator("#accuracies").get_by_text("As a table").click()
        expect(page.locator("#accuracies tbody tr")).to_have_count(4)
        expect(page.locator("#shown-after")).to_have_text("after iteration 60")
        page.get_by_label("From the start to now").press("Home")
        expect(page.locator("#shown-after")).to_have_text("to start from")
        page.get_by_role("link", name="Images, results and downloads").click()

        expect(page.get_by_role("img", name="Synthetic images of the class 7")).to_be_visible()
        expect(page.locator("table.results")).to_contain_text("the whole set")
        expect(page.locator("main")).to_contain_text(
            re.compile(r"It made a condensed set\. [+-][0-9.]+ points against random images, ")
        )
        article = page.locator("article", has_text="condensed.safetensors").first
        digest = article.locator("dd code").inner_text()
        with page.expect_download() as download:
            article.get_by_role("link").click()
        assert hashlib.sha256(download.value.path().read_bytes()).hexdigest() == digest
        article.get_by_text("curl and Python").click()
        expect(article).to_contain_text("load_file")

        page.get_by_role("link", name="Jobs", exact=True).first.click()
        for job_id in (finished, new):
            page.locator(f"input[value={job_id}]").check()
        page.get_by_role("button", name="Compare").click()
        expect(page.locator("#curve canvas")).to_be_visible()
        expect(page.get_by_role("row", name="iterations")).to_contain_text("20")
        expect(page.get_by_role("row", name="iterations")).to_contain_text("60")
