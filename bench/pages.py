"""`python -m bench.pages`: how large each page is, and when it can be used; print, and write the section.

Needs Debian's chromium. Every load is the first one of a fresh profile: nothing is cached but the cookie.
"""

import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path

import httpx2
from playwright.sync_api import Browser, StorageState

from bench.machine import machine
from bench.page import write_section
from examples.digits import write_zip
from tests.support.browser import WIDE, chromium, sign_in
from tests.support.service import Service

LOADS = 9
GOAL_KB, GOAL_MS, GOAL_SHIFT = 60.0, 300.0, 0.01
#: Of each load: when its scripts had run, when everything had come, and by how much anything moved.
_TIMES = """() => new Promise((done) => {
    const [page] = performance.getEntriesByType("navigation");
    let moved = 0;
    new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) moved += entry.value;
    }).observe({ type: "layout-shift", buffered: true });
    const end = () => done([page.domContentLoadedEventEnd, page.loadEventEnd, moved]);
    requestAnimationFrame(() => requestAnimationFrame(end));
})"""


@dataclass(frozen=True, kw_only=True)
class Loaded:
    """Of one load: bytes of all answers, times in ms since it was asked for, and the layout shift."""

    size: int
    interactive: float
    complete: float
    moved: float


def measure(browser: Browser, address: str, state: StorageState) -> Loaded:
    """Open a page in a fresh profile."""
    context = browser.new_context(storage_state=state, viewport=WIDE)
    page = context.new_page()
    sizes: list[int] = []
    page.on(
        "requestfinished",
        lambda one: sizes.append(one.sizes()["responseBodySize"] + one.sizes()["responseHeadersSize"]),
    )
    page.goto(address, wait_until="networkidle")
    interactive, complete, moved = page.evaluate(_TIMES)
    context.close()
    return Loaded(size=sum(sizes), interactive=interactive, complete=complete, moved=moved)


def table(found: dict[str, list[Loaded]]) -> str:
    """The section, in Markdown."""
    lines = []
    for name, loads in found.items():
        interactive = sorted(one.interactive for one in loads)
        median = statistics.median(interactive)
        moved = max(one.moved for one in loads)
        lines.append(
            f"| {name} | {statistics.median(one.size for one in loads) / 1000:.1f} kB "
            f"| {median:.0f} ms ({interactive[0]:.0f} – {interactive[-1]:.0f}) "
            f"| {statistics.median(one.complete for one in loads):.0f} ms | {moved:.3f} |"
        )
    first = next(iter(found.values()))
    met = (
        statistics.median(one.size for one in first) <= 1000 * GOAL_KB
        and statistics.median(one.interactive for one in first) <= GOAL_MS
        and max(one.moved for one in first) <= GOAL_SHIFT
    )
    return f"""## The pages

| | transferred | interactive | complete | layout shift |
|---|---|---|---|---|
{chr(10).join(lines)}

Goals, for the first page: {GOAL_KB:.0f} kB, {GOAL_MS:.0f} ms, no layout shift:
{"met" if met else "**not met**"}. Medians of {LOADS} loads, each in a fresh profile of Chromium on the
server's own machine; the layout shift is the largest. Interactive: the page's scripts have run. Complete:
pictures have come, too.

**Machine.** {machine()}."""


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as name, chromium() as browser:
        service = Service(Path(name) / "data").start()
        try:
            addresses, state = _stage(service, browser, Path(name))
            found: dict[str, list[Loaded]] = {page: [] for page in addresses}
            for _ in range(LOADS):
                for page, address in addresses.items():
                    found[page].append(measure(browser, address, state))
        finally:
            service.stop()
    text = table(found)
    print(text)  # noqa: T201
    write_section("pages", text)


def _stage(service: Service, browser: Browser, folder: Path) -> tuple[dict[str, str], StorageState]:
    """A data set, a job that has succeeded, and the cookie of somebody who has signed in."""
    token = httpx2.post(f"{service.url}/v1/keys", json={"name": "bench", "scope": "admin"}).json()["token"]
    write_zip(folder / "digits.zip")
    with service.client(token) as client:
        dataset = client.datasets.add(folder / "digits.zip").wait()
        evaluation = {"networks": 2, "epochs": 20, "whole_epochs": 1}
        job = client.jobs.submit(
            dataset, ipc=10, iterations=50, batch_real=8, network={"width": 8}, evaluation=evaluation
        ).wait()
    context = browser.new_context(base_url=service.url)
    sign_in(context.new_page(), token)
    state = context.storage_state()
    context.close()
    paths = {
        "data sets (the first page)": "/datasets",
        "a data set": f"/datasets/{dataset.id}",
        "new job": f"/jobs/new?dataset={dataset.id}",
        "a job": f"/jobs/{job.id}",
        "its result": f"/jobs/{job.id}/result",
    }
    return {name: service.url + path for name, path in paths.items()}, state


if __name__ == "__main__":
    main()
