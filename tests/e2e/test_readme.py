"""Every line of the README's walk-through and of docs/api.md is executed, as it stands, against a service."""

import re
import subprocess
from pathlib import Path

import pytest

import condensery
from tests.support.service import ROOT, Service

PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
SERVER = "http://127.0.0.1:8000"


def _blocks(page: str, section: str | None = None) -> list[str]:
    text = (ROOT / page).read_text()
    if section is not None:
        text = text.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize(
    ("page", "section"), [("README.md", "By hand, with curl"), ("docs/api.md", None)], ids=str
)
def test_walk_through(service: Service, tmp_path: Path, page: str, section: str | None) -> None:
    blocks = _blocks(page, section)
    assert len(blocks) >= 6
    script = "\n".join(blocks)
    assert SERVER in script
    # The address and the interpreter are the test's; curl then fails on any answer that is an error.
    script = script.replace(SERVER, service.url).replace(".venv/bin/python", service.python)
    script = 'set -euo pipefail\ncurl() { command curl --fail-with-body "$@"; }\n' + script
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=service.environment | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert (tmp_path / "condensed.safetensors").stat().st_size > 10_000
    for picture in tmp_path.glob("*.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
    ends = re.findall(r'^event: end\ndata: (?:.*)"state":"(\w+)"', done.stdout, re.MULTILINE)
    assert ends == ["ready", "succeeded", "cancelled"]


def test_one_command(service: Service, tmp_path: Path) -> None:
    (script,) = _blocks("README.md", "In one command")
    for name, command in (("python", service.python), ("condensery", f"{service.python} -m condensery.cli")):
        script = re.sub(rf"^\.venv/bin/{name}", command, script, flags=re.MULTILINE)
    done = subprocess.run(
        ["bash", "-ec", script],
        cwd=tmp_path, env=service.environment | {"PYTHONPATH": str(ROOT), "CONDENSERY_SERVER": service.url},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    (loaded,) = tmp_path.glob("job_*/condensed.safetensors")
    assert len(condensery.load(loaded)) == 10


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
