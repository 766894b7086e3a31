"""Condensed sets in a browser: one that a job made, one that comes back, their merge, and one of others."""

import re
from pathlib import Path

import httpx2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect
from sklearn.datasets import load_digits

from tests.support.browser import (
    assert_fits_and_is_accessible,
    context_of,
    drop,
    expect_ended,
    show_as,
    sign_in,
    watched,
)
from tests.support.service import Service


@pytest.fixture(scope="module")
def made(api: httpx2.Client, finished: str) -> str:
    return str(api.get(f"/v1/jobs/{finished}").json()["made_set_id"])


@pytest.fixture(scope="module")
def again(api: httpx2.Client, made: str) -> str:
    """The same, by its file."""
    files = api.get(f"/v1/condensed-sets/{made}/artifacts").json()["data"]
    key = next(one["id"] for one in files if one["format"] == "safetensors")
    content = api.get(f"/v1/artifacts/{key}/content").content
    upload = api.put("/v1/uploads", content=content, params={"file_name": "set.safetensors"}).json()["id"]
    row = api.post("/v1/condensed-sets", json={"upload_id": upload, "name": "back <again>"}).json()["id"]
    api.get(f"/v1/condensed-sets/{row}/events/stream", timeout=60)
    return str(row)


@pytest.mark.parametrize("look", ["wide light", "phone dark"])
def test_from_the_result_to_the_evaluation(
    browser: Browser, service: Service, token: str, finished: str, made: str, again: str, look: str
) -> None:
    with watched(browser, service.url, **context_of(look)) as page:
        sign_in(page, token)
        page.goto(f"/jobs/{finished}/result")
        page.get_by_role("link", name="condensed set", exact=True).click()
        page.wait_for_url(f"**/condensed-sets/{made}")
        expect_ended(page, "ready")
        expect(page.get_by_role("img", name="Synthetic images of the class 7")).to_be_visible()
        expect(page.get_by_role("link", name="condensed.safetensors")).to_be_visible()
        assert_fits_and_is_accessible(page)
        page.get_by_role("link", name="Condensed sets").first.click()
        expect(page.get_by_role("link", name="back <again>")).to_be_visible()
        assert_fits_and_is_accessible(page)
        page.get_by_role("link", name="back <again>").click()
        expect(page.locator("#summary")).to_contain_text("uploaded")
        assert_fits_and_is_accessible(page)
        page.get_by_role("link", name="Evaluate").click()
        page.wait_for_url(re.compile(f"/jobs/new\\?.*condensed_set={again}"))


def test_a_page_that_waits_shows_what_comes(
    page: Page, api: httpx2.Client, made: str, again: str, tmp_path: Path
) -> None:
    whole = api.post("/v1/condensed-sets/merge", json={"condensed_set_ids": [made, again]}).json()["id"]
    page.goto(f"/condensed-sets/{whole}")
    expect_ended(page, "ready")
    expect(page.locator("#summary")).to_contain_text("2 images per class")
    expect(page.get_by_role("img", name="Synthetic images of the class 7")).to_be_visible()
    page.get_by_text("Delete it").click()
    page.get_by_role("button", name=re.compile("^Delete")).click()
    page.wait_for_url("**/condensed-sets")
    assert api.get(f"/v1/condensed-sets/{whole}").status_code == 404


@pytest.fixture
def unnormalised(api: httpx2.Client, dataset_id: str, tmp_path: Path) -> Path:
    """Twenty digits, normalised, as others save them: nothing in the file says so, or by what."""
    facts = api.get(f"/v1/datasets/{dataset_id}").json()["manifest"]
    digits = load_digits()
    rows = [row for label in range(10) for row in np.flatnonzero(digits.target == label)[:2]]
    scale = facts["image_size"] // 8
    pixels = np.kron(digits.images[rows] / 16, np.ones((scale, scale)))
    images = ((pixels - facts["mean"][0]) / facts["std"][0]).astype(np.float32)
    file = tmp_path / "kip.npz"
    np.savez(file, images=images[..., None], labels=np.repeat(np.arange(10), 2))
    return file


def test_what_others_made_is_sent_asked_about_and_evaluated(
    browser: Browser, service: Service, token: str, api: httpx2.Client, dataset_id: str, unnormalised: Path
) -> None:
    with watched(browser, service.url, allowed=("422",)) as page:
        sign_in(page, token)
        page.goto("/condensed-sets")
        page.get_by_label("the data set that it stands for").select_option(dataset_id)
        drop(page, (unnormalised, "kip <theirs>.npz"))
        page.wait_for_url("**/condensed-sets/cs_*")
        first = page.url
        expect_ended(page, "")
        expect(page.locator("#notices")).to_contain_text("Something has to be stated")
        for look in ("phone dark", "wide light"):
            show_as(page, look)
            assert_fits_and_is_accessible(page)
        space, mean = page.get_by_role("combobox", name="space"), page.get_by_role("textbox", name="mean")
        space.press("n")
        mean.press("Enter")
        expect(page.locator("#faults")).to_contain_text("mean: Fill this in, or tick “of data set”.")
        assert_fits_and_is_accessible(page)
        page.locator("#faults").get_by_role("link", name="mean").click()
        expect(mean).to_be_focused()
        expect(space).to_have_value("normalised")
        page.get_by_role("checkbox", name="of data set").press("Space")
        page.get_by_role("spinbutton", name="factor").fill("1")  # of 8 px, enlarged: there are seams
        mean.press("Enter")
        page.wait_for_url(lambda url: "/condensed-sets/cs_" in url and url != first)
        expect_ended(page, "ready 2 images per class")
        expect(page.get_by_role("heading", level=1)).to_have_text("kip <theirs>.npz")
        expect(page.get_by_role("img", name="Synthetic images of the class 7")).to_be_visible()
        page.get_by_role("link", name="Evaluate").click()
        page.wait_for_url(re.compile(f"/jobs/new\\?.*condensed_set=.*dataset={dataset_id}"))
