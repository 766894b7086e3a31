"""The page as a person uses it, in Chromium, against real processes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.support.browser import PHONE, assert_fits_and_is_accessible, chromium, drop, sign_in, watched
from tests.support.service import Service

#: What the form is filled in with: seconds of work.
QUICK = {
    "iterations": "60",
    "batch_real": "8",
    "network.width": "8",
    "evaluation.networks": "2",
    "evaluation.epochs": "20",
    "evaluation.whole_epochs": "1",
}
FIRST_PAGE_BYTES = 60_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as made:
        yield made


@pytest.fixture(scope="module")
def service(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Embedded: what is tested here does not depend on the database."""
    running = Service(tmp_path_factory.mktemp("page"))
    try:
        yield running.start()
    finally:
        running.stop()


@pytest.fixture(scope="module")
def token(service: Service) -> str:
    made = httpx2.post(f"{service.url}/v1/keys", json={"name": "first", "scope": "admin"})
    return str(made.json()["token"])


@pytest.fixture(scope="module")
def api(service: Service, token: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=service.url, headers={"Authorization": f"Bearer {token}"}) as made:
        yield made


@pytest.fixture
def page(browser: Browser, service: Service, token: str) -> Iterator[Page]:
    with watched(browser, service.url) as made:
        sign_in(made, token)
        yield made


@pytest.fixture(scope="module")
def dataset_id(api: httpx2.Client, digits_zip: Path) -> str:
    upload = api.put("/v1/uploads", content=digits_zip.read_bytes()).json()
    made = api.post("/v1/datasets", json={"upload_id": upload["id"], "name": "digits"}).json()
    api.get(f"/v1/datasets/{made['id']}/events/stream", timeout=60)  # until it is ready
    return str(made["id"])


@pytest.fixture(scope="module")
def finished(api: httpx2.Client, dataset_id: str) -> str:
    body: dict[str, Any] = {
        "dataset_id": dataset_id, "ipc": 1, "iterations": 20, "batch_real": 8, "network": {"width": 8},
        "evaluation": {"networks": 2, "epochs": 5, "whole_epochs": 1},
    }  # fmt: skip
    job = api.post("/v1/jobs", json=body).json()
    api.get(f"/v1/jobs/{job['id']}/events/stream", timeout=120)
    return str(job["id"])


def endless(api: httpx2.Client, dataset_id: str) -> str:
    body = {"dataset_id": dataset_id, "ipc": 1, "batch_real": 8, "network": {"width": 8}, "name": "endless"}
    return str(api.post("/v1/jobs", json={**body, "iterations": 1_000_000}).json()["id"])


def fill(page: Page, settings: dict[str, str]) -> None:
    for name, value in settings.items():
        page.locator(f"[name='{name}']").fill(value)


def test_from_the_key_to_the_downloaded_set(
    browser: Browser, service: Service, token: str, digits_zip: Path, finished: str
) -> None:
    with watched(browser, service.url) as page:
        page.goto("/")
        assert page.url.endswith("/sign-in?next=%2Fdatasets")
        page.get_by_label("API key").fill(token)
        page.get_by_role("button", name="Sign in").click()

        drop(page, digits_zip, "my <digits>.zip")
        page.wait_for_url("**/datasets/ds_*")
        expect(page.locator("#summary")).to_contain_text("ready", timeout=60_000)
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
        expect(page.locator("#curve canvas")).to_be_visible(timeout=60_000)
        expect(page.locator("#results")).to_contain_text("condensed, as PNG", timeout=60_000)
        expect(page.locator("#shown-after")).to_have_text("after iteration 60")
        page.get_by_label("From the start to now").press("Home")
        expect(page.locator("#shown-after")).to_have_text("to start from")
        page.get_by_role("link", name="Images, results and downloads").click(timeout=60_000)

        expect(page.get_by_role("img", name="Synthetic images of the class 7")).to_be_visible()
        expect(page.locator("table.results")).to_contain_text("the whole set")
        article = page.locator("article", has_text="condensed.safetensors").first
        digest = article.locator("dd code").inner_text()
        with page.expect_download() as download:
            article.get_by_role("link").click()
        assert hashlib.sha256(download.value.path().read_bytes()).hexdigest() == digest
        article.get_by_text("curl and Python").click()
        expect(article).to_contain_text("load_file")

        page.get_by_role("link", name="Jobs", exact=True).first.click()
        for box in page.get_by_role("checkbox").all():
            box.check()
        page.get_by_role("button", name="Compare").click()
        expect(page.locator("#curve canvas")).to_be_visible()
        expect(page.get_by_role("row", name="iterations")).to_contain_text("20")
        expect(page.get_by_role("row", name="iterations")).to_contain_text("60")


def test_upload_is_paused_and_goes_on_after_a_reload(page: Page, api: httpx2.Client, tmp_path: Path) -> None:
    """What was sent is not sent again: of a file of two pieces, the second is let through only later."""
    file = tmp_path / "large.bin"
    file.write_bytes(b"0123456789abcdef" * (5 << 16))  # 5 MiB
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
    drop(page, file, "large.bin")
    expect(page.locator(".transfer progress")).to_have_attribute("value", str(4 << 20))
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".transfer")).to_contain_text("Paused at 4.19 MB of 5.24 MB.")
    for route in held:
        route.abort()  # or it would go on once nothing holds it
    page.unroute_all(behavior="ignoreErrors")

    page.reload()
    expect(page.locator(".transfer")).to_contain_text("Choose the same file again")
    assert_fits_and_is_accessible(page)
    with page.expect_request(lambda request: request.method == "PATCH") as again:
        drop(page, file, "large.bin")
    assert again.value.headers["upload-offset"] == str(4 << 20)
    page.wait_for_url("**/datasets/ds_*")
    expect(page.locator("#live")).to_contain_text("It cannot be used")
    assert_fits_and_is_accessible(page)
    whole = [one for one in api.get("/v1/uploads").json()["data"] if one["file_name"] == "large.bin"]
    assert [one["sha256"] for one in whole] == [hashlib.sha256(file.read_bytes()).hexdigest()]
    assert sent == [0, 4 << 20]


def test_a_job_is_paused_resumed_and_cancelled(page: Page, api: httpx2.Client, dataset_id: str) -> None:
    job = endless(api, dataset_id)
    page.goto(f"/jobs/{job}")
    expect(page.locator("#bar-left")).to_contain_text("left in this phase")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#summary")).to_contain_text("paused")
    page.get_by_role("button", name="Resume").click()
    expect(page.locator("#summary")).to_contain_text("running")
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#summary")).to_contain_text("cancelled")
    expect(page.get_by_role("button", name="Cancel")).to_have_count(0)
    assert api.get(f"/v1/jobs/{job}").json()["state"] == "cancelled"


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
        page.keyboard.type(token)  # the field has the focus
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
    look: str,
) -> None:
    other = endless(api, dataset_id)
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
        page.get_by_text("As a table").click()
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


def test_the_connection_breaks_and_comes_back(
    browser: Browser, service: Service, api: httpx2.Client, dataset_id: str, token: str
) -> None:
    job = endless(api, dataset_id)
    with watched(browser, service.url, allowed=("Failed to load resource",)) as page:
        sign_in(page, token)
        page.goto(f"/jobs/{job}")
        expect(page.locator("#bar-left")).to_contain_text("left in this phase")
        page.route("**/events/stream", lambda route: route.abort())
        service.kill_api()
        expect(page.locator("#connection")).to_contain_text("The connection to the service is broken")
        assert_fits_and_is_accessible(page)
        service.start_api()
        page.unroute_all()
        expect(page.locator("#connection")).to_be_empty()
        page.get_by_role("button", name="Cancel").click()
        expect(page.locator("#summary")).to_contain_text("cancelled")


def test_no_worker_is_said(page: Page, api: httpx2.Client, service: Service, dataset_id: str) -> None:
    service.stop_worker()
    job = endless(api, dataset_id)
    page.goto(f"/jobs/{job}")
    expect(page.get_by_text("No worker is running.")).to_be_visible()
    assert_fits_and_is_accessible(page)
    service.start_worker()
    expect(page.get_by_text("No worker is running.")).to_have_count(0)
    page.get_by_role("button", name="Cancel").click()
    expect(page.locator("#summary")).to_contain_text("cancelled")
