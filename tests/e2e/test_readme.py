"""Every line of the README's walk-throughs, of docs/api.md and docs/webhooks.md is executed, as it stands."""

import json
import re
import subprocess
from pathlib import Path

import pytest
from PIL import Image

import condensery
from tests.support.service import ROOT, Service

PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
README = (ROOT / "README.md").read_text()
SERVER = "http://127.0.0.1:8000"


def _blocks(page: str, section: str | None = None) -> list[str]:
    """The shell's as they stand, Python's as its standard input, in their order."""
    text = (ROOT / page).read_text()
    if section is not None:
        text = text.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    found = re.findall(r"```(sh|python)\n(.*?)```", text, re.DOTALL)
    return [
        block if language == "sh" else f".venv/bin/python - <<'PYTHON'\n{block}PYTHON\n"
        for language, block in found
    ]


# What depends on the kind of service is the way through it, which test_whole_path.py goes on both.
@pytest.mark.parametrize("service", ["embedded"], indirect=True)
@pytest.mark.parametrize(
    ("page", "section"), [("README.md", "By hand, with curl"), ("docs/api.md", None)], ids=str
)
def test_walk_through(service: Service, tmp_path: Path, page: str, section: str | None) -> None:
    blocks = _blocks(page, section)
    assert len(blocks) >= 6
    script = "\n".join(blocks)
    before = _uploads(service)
    assert SERVER in script
    done = _executed(script, service, tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (tmp_path / "condensed.safetensors").stat().st_size > 10_000
    for picture in tmp_path.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
    ends = re.findall(r'^event: end\ndata: (?:.*)"state":"(\w+)"', done.stdout, re.MULTILINE)
    of_sets = {"README.md": [], "docs/api.md": ["ready", "ready", "succeeded"]}  # two, and an evaluation
    assert ends == ["ready", "succeeded", "cancelled", *of_sets[page]]
    begun = {
        "README.md": 0,
        "docs/api.md": 2,
    }  # with tus, by Python and by hand; the one sent whole is deleted
    assert len(_uploads(service) - before) == begun[page]


def _executed(script: str, service: Service, folder: Path) -> "subprocess.CompletedProcess[str]":
    """The address and the interpreter are the test's; curl then fails on any answer that is an error."""
    script = script.replace(SERVER, service.url).replace(".venv/bin/python", service.python)
    script = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; }\n' + script
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, env=service.environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip


def test_webhooks_are_made_as_the_guide_says(service: Service, tmp_path: Path) -> None:
    done = _executed("\n".join(_blocks("docs/webhooks.md")), service, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    made = json.loads(done.stdout)
    with service.client() as client:
        client.delete(f"/v1/webhooks/{made['id']}")
    assert made["secret"].startswith("whsec_")


def _uploads(service: Service) -> set[str]:
    with service.client() as client:
        return {one["id"] for one in client.get("/v1/uploads", limit=200)["data"]}


@pytest.mark.parametrize("service", ["embedded"], indirect=True)  # what it needs is what `make up` starts
def test_one_command(service: Service, tmp_path: Path) -> None:
    """The block, and the two commands that stand in the text below it."""
    section = README.split("\n## In one command\n", 1)[1].split("\n## ", 1)[0]
    (block,) = _blocks("README.md", "In one command")
    _photographs(tmp_path / "photographs")
    (photographs,) = re.findall(r"`(\.venv/bin/condensery submit photographs/ [^`]+)`", section)
    (picture,) = re.findall(r"`(condensery download JOB --format preview)`", section)
    job_id, text = _typed(block, service, tmp_path)
    assert "test accuracy" in text
    assert len(condensery.load(tmp_path / job_id / "condensed.safetensors")) == 10
    _typed(picture.replace("JOB", job_id), service, tmp_path)
    assert (tmp_path / job_id / "preview.png").read_bytes().startswith(b"\x89PNG")
    job_id, text = _typed(photographs.replace("\n", " "), service, tmp_path)
    assert "3 classes, 32 px" in text
    assert len(condensery.load(tmp_path / job_id / "condensed.safetensors")) == 3


def _typed(script: str, service: Service, folder: Path) -> tuple[str, str]:
    """The folder that is new since, named for the job, and what was printed."""
    before = {*folder.glob("job_*")}
    for name, command in (("python", service.python), ("condensery", f"{service.python} -m condensery.cli")):
        script = re.sub(rf"^(\.venv/bin/)?{name}", command, script, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=folder, env=service.environment | {"PYTHONPATH": str(ROOT), "CONDENSERY_SERVER": service.url},
        capture_output=True, text=True, timeout=800, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    made = {*folder.glob("job_*")} - before
    return made.pop().name if made else "", done.stdout + done.stderr


def _photographs(folder: Path) -> None:
    """Of three kinds of things, larger than what they are read as, and not square."""
    for number, kind in enumerate(("boats", "cats", "trees")):
        (folder / kind).mkdir(parents=True)
        for each in range(12):
            colour = [40 + 10 * each] * 3
            colour[number] = 255
            Image.new("RGB", (90, 60), tuple(colour)).save(folder / kind / f"{each}.jpg")


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
