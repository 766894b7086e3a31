"""A job's page while the job, its worker and its service change."""

import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import httpx2
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import assert_fits_and_is_accessible, drop, expect_ended, sign_in, watched
from tests.support.processes import runner_of, wait_for
from tests.support.service import Service


def test_a_job_is_paused_resumed_and_cancelled(
    page: Page, api: httpx2.Client, start_endless: Callable[..., str]
) -> None:
    job = start_endless(iterations=50_000)
    page.goto(f"/jobs/{job}")
    expect(page.locator("#bar-left")).to_contain_text("left")
    curve = page.get_by_role("img", name="Loss by iteration")
    expect(curve).to_be_visible()
    reached = int(re.findall(r"\d+", str(curve.get_attribute("aria-label")))[0])
    expect(curve).not_to_have_accessible_name(re.compile(f"up to {reached}:"))  # it grows
    assert int(re.findall(r"\d+", str(curve.get_attribute("aria-label")))[0]) > reached
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#summary")).to_contain_text("paused")
    assert_fits_and_is_accessible(page)
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#summary")).to_contain_text("running")
    page.get_by_role("button", name="Cancel").click()
    expect_ended(page, "cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert api.get(f"/v1/jobs/{job}").json()["state"] == "cancelled"


def test_the_connection_breaks_and_comes_back(
    browser: Browser, service: Service, start_endless: Callable[[], str], token: str
) -> None:
    job = start_endless()
    with watched(browser, service.url, allowed=("Failed to load resource",)) as page:
        sign_in(page, token)
        page.goto(f"/jobs/{job}")
        expect(page.locator("#bar-left")).to_contain_text("left")
        page.route("**/events/stream", lambda route: route.abort())
        service.kill_api()
        expect(page.locator("#connection")).to_contain_text("The connection to the service is broken")
        assert_fits_and_is_accessible(page)
        service.start_api()
        page.unroute_all()
        expect(page.locator("#connection")).to_be_empty()
        page.get_by_role("button", name="Cancel").click()
        expect_ended(page, "cancelled")


def test_no_worker_is_said(
    page: Page, service: Service, start_endless: Callable[[], str], digits_zip: Path
) -> None:
    """And what waits goes on once there is one, on the page that is open."""
    other = page.context.new_page()
    service.stop_worker()
    job = start_endless()
    drop(page, (digits_zip, "waits.zip"))
    page.wait_for_url("**/datasets/ds_*")
    expect(page.locator("#summary")).to_contain_text("ingesting")
    for path in (page.url, "/datasets", "/jobs", f"/jobs/{job}"):
        other.goto(path)
        expect(other.get_by_text("No worker is running.")).to_be_visible()
        assert_fits_and_is_accessible(other)
    service.start_worker()
    expect_ended(page, "ready")
    other.close()
    page.goto(f"/jobs/{job}")
    expect(page.get_by_text("No worker is running.")).to_have_count(0)
    page.get_by_role("button", name="Cancel").click()
    expect_ended(page, "cancelled")


def test_a_job_that_diverges_says_why_and_where_to_go_on(
    page: Page, api: httpx2.Client, dataset_id: str
) -> None:
    body = {
        "dataset_id": dataset_id, "ipc": 1, "iterations": 1000, "batch_real": 8, "lr": 1e6, "init": "noise",
        "network": {"width": 8, "norm": "none"},
    }  # fmt: skip
    job = api.post("/v1/jobs", json=body).json()
    page.goto(f"/jobs/{job['id']}")
    failure = page.get_by_role("alert").filter(has_text="It failed")
    expect(failure).to_contain_text("not finite")
    assert_fits_and_is_accessible(page)
    failure.get_by_role("link", name="Try other settings").click()
    page.wait_for_url(f"**/jobs/new?dataset={dataset_id}")


def test_an_attempt_that_died_is_told(page: Page, start_endless: Callable[[], str]) -> None:
    job = start_endless()
    page.goto(f"/jobs/{job}")
    expect(page.locator("#bar-left")).to_contain_text("left")
    runner = wait_for(lambda: runner_of(job))
    assert runner is not None
    os.kill(runner, signal.SIGKILL)
    expect(page.locator("#notices")).to_contain_text("1 × worker lost. It goes on from its last checkpoint")
    page.get_by_role("button", name="Cancel").click()
    expect_ended(page, "cancelled")
