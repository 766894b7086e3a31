"""What may know of what."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_api_starts_without_the_heavy_libraries() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", "import api.app, api.__main__"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "fastapi" in loaded
    heavy = {"torch", "torchvision", "numpy", "PIL", "safetensors", "pyarrow", "sklearn"}
    assert {name.partition(".")[0] for name in loaded} & heavy == set()


def test_import_rules_are_kept() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
