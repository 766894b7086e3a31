"""`make demo` and `make up`, as they are typed."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pexpect
import pytest

import condensery
from tests.support.processes import wait_for
from tests.support.servers import free_port
from tests.support.service import ROOT

ACCURACY = r"│ {name} +│ +{images} +│ +\d+\.\d% +│ +1 +│"


class Place:
    """A folder to start the service in, at a port of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CONDENSERY_")}
        self.environment = kept | {
            "CONDENSERY_DATA_DIR": str(folder / "data"), "CONDENSERY_PORT": str(self.port),
            "PYTHONPATH": str(ROOT), "COLUMNS": "100", "TERM": "dumb",
        }  # fmt: skip

    def type(self, *words: str, cwd: Path | None = None) -> Any:
        return pexpect.spawn(
            words[0], [*words[1:]], cwd=cwd or self.folder, env=self.environment, encoding="utf-8",
            timeout=120, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip

    def is_left_alone(self) -> bool:
        try:
            httpx2.get(f"http://127.0.0.1:{self.port}/healthz")
        except httpx2.ConnectError:
            return True
        return False


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    yield Place(tmp_path)


@pytest.fixture
def demo() -> list[str]:
    """What `make demo` runs, with less of each step."""
    recipe = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "--assume-old=.venv/.installed", "demo"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    python, *words = recipe.stdout.split()
    assert (python, words) == (".venv/bin/python", ["-m", "examples.demo"])
    return [sys.executable, *words, "--quick"]


def test_the_demo_shows_every_step_and_what_the_set_is_worth(place: Place, demo: list[str]) -> None:
    done = subprocess.run(
        demo, cwd=place.folder, env=place.environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for name, images in (
        ("condensed", "100"), ("png", "100"), ("random", "100"),
        ("whole", "1,528"),
    ):  # fmt: skip
        assert re.search(ACCURACY.format(name=name, images=images), done.stdout), done.stdout
    # What is typed by hand asks for the same.
    assert '"iterations": 20, ' in done.stdout and '"whole_epochs": 1' in done.stdout
    made = place.folder / "data" / "demo"
    assert len(condensery.load(made / "condensed.safetensors")) == 100
    assert (made / "preview.png").read_bytes().startswith(b"\x89PNG")
    assert place.is_left_alone(), "the service is stopped"


def test_the_demo_is_interrupted_and_leaves_nothing_running(place: Place, demo: list[str]) -> None:
    running = place.type(*demo)
    running.expect("condensing to")
    running.sendintr()
    running.expect("interrupted; what was made so far is in")
    running.expect(pexpect.EOF)
    running.close()
    assert running.exitstatus == 130
    assert place.is_left_alone()


def test_make_up_ends_quietly_after_ctrl_c(place: Place) -> None:
    """make itself ends by the signal, which a shell calls 130; it says nothing of an error."""
    running = place.type("make", "--assume-old=.venv/.installed", "up", cwd=ROOT)
    running.expect(f"condensery: ready at http://127.0.0.1:{place.port}")
    running.sendintr()
    running.expect("condensery: stopped")
    running.expect(pexpect.EOF)
    running.close()
    assert running.before.strip() == ""
    assert (running.exitstatus, running.signalstatus) in ((None, signal.SIGINT), (130, None), (0, None))


def test_up_listens_where_the_file_of_settings_says(place: Place) -> None:
    del place.environment["CONDENSERY_PORT"]
    (place.folder / ".env").write_text(
        f'CONDENSERY_PORT="{place.port}"  # of this folder\nCONDENSERY_HOST=::1\n'
    )
    running = place.type(sys.executable, "-m", "condensery.cli", "up")
    running.expect_exact(f"condensery: ready at http://[::1]:{place.port} ")
    wait_for(lambda: httpx2.get(f"http://[::1]:{place.port}/readyz").status_code == 200)
    running.sendintr()
    running.expect("condensery: stopped")
    running.expect(pexpect.EOF)
    running.close()
    assert running.exitstatus == 0


def test_up_names_the_setting_that_is_wrong(place: Place) -> None:
    place.environment["CONDENSERY_PORT"] = "many"
    running = place.type(sys.executable, "-m", "condensery.cli", "up")
    running.expect(r"condensery: CONDENSERY_PORT: [^\n]+integer")
    running.expect(pexpect.EOF)
    running.close()
    assert (running.exitstatus, "Traceback" in running.before) == (1, False)
