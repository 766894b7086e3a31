"""Every line of the README's walk-through is executed, as it stands, against a running service."""

import re
import subprocess
from pathlib import Path

from tests.support.service import ROOT, Service

README = (ROOT / "README.md").read_text()
SERVER = "http://127.0.0.1:8000"


def _blocks(section: str) -> list[str]:
    text = README.split(f"\n## {section}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```sh\n(.*?)```", text, re.DOTALL)


def test_walk_through(service: Service, tmp_path: Path) -> None:
    blocks = _blocks("By hand, with curl")
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
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
    ends = re.findall(r'^event: end\ndata: (?:.*)"state":"(\w+)"', done.stdout, re.MULTILINE)
    assert ends == ["ready", "succeeded", "cancelled"]


def test_try_it_names_real_targets() -> None:
    makefile = (ROOT / "Makefile").read_text()
    commands = re.findall(r"make (\w+)", README)
    assert {"demo", "test", "up", "lint", "lock"} <= set(commands)
    for target in set(commands):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"the README says make {target}"
