"""Debian's Chromium, and what every page must keep whatever a test does with it."""

import os
import shutil
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize, expect, sync_playwright

WIDE: ViewportSize = {"width": 1280, "height": 900}
PHONE: ViewportSize = {"width": 390, "height": 844}
TIMEOUT_MS = 120_000  # of a busy machine

#: Named, because axe leaves rules of WCAG 2.2 out unless it is told otherwise.
_AXE = {
    "resultTypes": ["violations"],
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    },
    "rules": {"target-size": {"enabled": True}},
}


def context_of(look: str) -> dict[str, Any]:
    """Of a browser's context, by its look: `wide light` or `phone dark`."""
    width, color_scheme = look.split()
    return {"color_scheme": color_scheme, "viewport": PHONE if width == "phone" else WIDE}


def show_as(page: Page, look: str) -> None:
    """Another look for a page that is open."""
    context = context_of(look)
    page.set_viewport_size(context["viewport"])
    page.emulate_media(color_scheme=context["color_scheme"])


@contextmanager
def chromium() -> Iterator[Browser]:
    path = shutil.which("chromium")
    if path is None:
        message = "no chromium on this machine: apt-get install chromium"
        if os.environ.get("CI") == "true" and not os.environ.get("CONDENSERY_TEST_NO_BROWSER"):
            pytest.fail(f"{message}; or set CONDENSERY_TEST_NO_BROWSER=1 to do without these tests")
        pytest.skip(message)
    expect.set_options(timeout=TIMEOUT_MS)
    # A sandbox inside a container would need rights that tests do not have.
    flags = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()


@contextmanager
def watched(browser: Browser, url: str, *, allowed: tuple[str, ...] = (), **context: Any) -> Iterator[Page]:
    """A page of a fresh context. Afterwards there must have been no error on the console, but those with a
    text of `allowed` in them, and no request to another host."""
    errors: list[str] = []
    hosts: set[str] = set()
    # What moves is painted sixty times a second, by the processor where there is no other.
    usual = {"viewport": WIDE, "reduced_motion": "reduce"}
    made = browser.new_context(base_url=url, **usual | context)
    made.set_default_timeout(TIMEOUT_MS)
    page = made.new_page()
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    yield page
    made.close()
    assert [one for one in errors if not any(text in one for text in allowed)] == []
    assert hosts - {""} <= {urlsplit(url).netloc}


def sign_in(page: Page, token: str) -> None:
    page.goto("/sign-in")
    page.get_by_label("API key").fill(token)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/datasets")


def expect_ended(page: Page, summary: str) -> None:
    """What the page follows has ended so, and the page that was loaded for it is there."""
    expect(page.locator('#live[data-stream=""]')).to_be_attached()
    expect(page.locator("#summary")).to_contain_text(summary)


def drop(page: Page, *files: tuple[Path, str]) -> None:
    """Let go of files, by these names, over the page's field for them, as the mouse would."""
    page.wait_for_load_state()  # the script listens by then
    page.evaluate(
        """async (files) => {
            const dataTransfer = new DataTransfer();
            for (const [base64, name] of files) {
                const bytes = Uint8Array.from(atob(base64), (one) => one.charCodeAt(0));
                dataTransfer.items.add(new File([bytes], name, { lastModified: 1 }));
            }
            const event = new DragEvent("drop", { dataTransfer, bubbles: true });
            document.getElementById("drop").dispatchEvent(event);
        }""",
        [[b64encode(file.read_bytes()).decode(), name] for file, name in files],
    )


def drop_path(page: Page, path: Path) -> None:
    """Let go of what is on the disk, which may be a folder, over the page's field for files."""
    page.wait_for_load_state()
    box = page.locator("#drop").bounding_box()
    assert box is not None
    data = {"items": [], "files": [str(path)], "dragOperationsMask": 1}
    devtools = page.context.new_cdp_session(page)
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": box["x"] + 5, "y": box["y"] + 5, "data": data}
        devtools.send("Input.dispatchDragEvent", event)
    devtools.detach()


def assert_fits_and_is_accessible(page: Page) -> None:
    """No violation of axe-core's rules, and nothing to scroll sideways but what scrolls by itself."""
    found = Axe().run(page, options=_AXE).response["violations"]
    assert not found, "; ".join(
        f"{page.url}: {one['id']} at {[node['target'] for node in one['nodes']]}" for one in found
    )
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= page.evaluate("innerWidth"), (page.url, width)
