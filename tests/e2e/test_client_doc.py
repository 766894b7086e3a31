"""Every command and every line of Python in docs/client.md is executed, as it stands, in its order."""

import os
import re
import subprocess
from pathlib import Path

from typer.main import get_command

from condensery.cli import app
from tests.support.service import ROOT, Service

DOC = (ROOT / "docs" / "client.md").read_text()
SERVER = "http://127.0.0.1:8000"


def test_every_example(tmp_path: Path, digits_zip: Path) -> None:
    service = Service(tmp_path / "data").start()
    blocks = re.findall(r"```(sh|python)\n(.*?)```", DOC, re.DOTALL)
    assert len(blocks) == 10
    (tmp_path / "digits.zip").write_bytes(digits_zip.read_bytes())
    environment = {name: value for name, value in os.environ.items() if not name.startswith("CONDENSERY_")}
    environment |= {"CONDENSERY_SERVER": service.url, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    shell = f'set -euo pipefail\ncondensery() {{ {service.python} -m condensery.cli "$@"; }}\n'
    try:
        for language, block in blocks:
            command = ["bash", "-c", shell + block] if language == "sh" else [service.python, "-c", block]
            command = [word.replace(SERVER, service.url) for word in command]
            done = subprocess.run(
                command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=800
            )
            assert done.returncode == 0, block + done.stdout[-2000:] + done.stderr[-2000:]
    finally:
        service.stop()
    made = ["first/condensed.safetensors", "second/condensed.npz", "second/preview.png", "manifest.json"]
    made += ["both/preview.png", "both/results.json"]
    for name in made:
        assert (tmp_path / name).stat().st_size > 1000
    assert "condensery" in (tmp_path / ".bashrc").read_text(), "bash was taught to complete"


def test_every_command_of_the_command_line_stands_in_a_block() -> None:
    """A command between backticks alone would be executed by no test."""
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", DOC, re.DOTALL))
    commands = get_command(app).commands  # type: ignore[attr-defined]
    names = [
        f"{name} {part}".strip() for name, one in commands.items() for part in getattr(one, "commands", [""])
    ]
    assert [name for name in names if f"condensery {name} " not in blocks.replace("\n", " ")] == ["up"]
