"""What may know of what."""

import ast
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


def imported(module: Path) -> set[str]:
    """The packages that a module imports from, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "imports are absolute"
            found.add(node.module or "")
    return {name if name.startswith("core.") else name.partition(".")[0] for name in found}


def test_the_engine_needs_torch_and_numpy_alone() -> None:
    modules = list((ROOT / "core" / "engine").rglob("*.py"))
    found = set().union(*map(imported, modules))
    assert {"torch", "numpy", "core.engine.config"} <= found
    others = {name for name in found if not name.startswith("core.engine")} - sys.stdlib_module_names
    assert others == {"torch", "numpy"}


def test_import_rules_are_kept() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
