"""The command line in a real terminal: Ctrl-C in the middle of everything, and then on from there."""

import hashlib
import os
import re
import shlex
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pexpect
import pytest

from condensery import Client
from core.db.session import Database
from core.storage.local import LocalStorage
from tests.support.api import add_artifact
from tests.support.breaking_proxy import BreakingProxy
from tests.support.processes import wait_for
from tests.support.proxy import HoldingProxy
from tests.support.service import ROOT, Service

MB = 1_000_000
#: Seconds that anything may take on a busy machine.
TIMEOUT = 60
#: Some seconds of condensation.
TINY = ["--ipc", "1", "--recipe", "fast", "--iterations", "600", "--seed", "5"]
for _setting in ("network.width=8", "network.depth=2", "batch_real=16", "evaluation.networks=1",
                 "evaluation.epochs=2", "evaluation.whole_epochs=1", "evaluation.points=1"):  # fmt: skip
    TINY += ["--set", _setting]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    running = Service(tmp_path_factory.mktemp("cli") / "data")
    yield running.start()
    running.stop()


@pytest.fixture
def terminal(tmp_path: Path) -> "Terminal":
    return Terminal(tmp_path)


class Terminal:
    """Where a person types commands, in a folder and a home directory of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CONDENSERY_")}
        self._environment = kept | {
            "HOME": str(folder),
            "XDG_CACHE_HOME": str(folder / ".cache"),
            "XDG_CONFIG_HOME": str(folder / ".config"),
            "PYTHONPATH": str(ROOT),
            "TERM": "xterm",
        }

    def type(self, server: str, *words: str) -> Any:
        """The running command `condensery …`."""
        return pexpect.spawn(
            sys.executable, ["-m", "condensery.cli", *words], cwd=self.folder, encoding="utf-8",
            env=self._environment | {"CONDENSERY_SERVER": server}, timeout=TIMEOUT, dimensions=(40, 240),
            preexec_fn=_heed_ctrl_c,
        )  # fmt: skip


def _heed_ctrl_c() -> None:
    # Whoever runs the tests in the background has it ignored, and that is inherited.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def end(running: Any) -> tuple[int, str]:
    """Exit status and what was printed since the last expectation."""
    running.expect(pexpect.EOF)
    running.close()
    assert "Traceback" not in running.before, running.before
    return running.exitstatus, running.before


def interrupt(running: Any) -> list[str]:
    """Ctrl-C. The words of the command that goes on."""
    running.sendintr()
    status, text = end(running)
    assert status == 130, text
    assert "interrupted" in text
    found = re.search(r"^ +condensery (.*?)\r?$", text, re.MULTILINE)
    assert found, text
    return shlex.split(found[1])


def set_of_two_classes(path: Path) -> None:
    chance = np.random.default_rng(0)
    images = chance.integers(0, 128, (3000, 32, 32, 1), dtype=np.uint8)
    labels = np.arange(3000) % 2
    images[labels == 1] += 100
    np.savez(path, x_train=images[:2900], y_train=labels[:2900], x_test=images[2900:], y_test=labels[2900:])


def test_submit_is_interrupted_in_upload_and_follow_and_goes_on(
    service: Service, terminal: Terminal, tmp_path: Path
) -> None:
    set_of_two_classes(tmp_path / "my set.npz")
    with HoldingProxy(service.port) as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        proxy.allow(2 * MB)
        running = terminal.type(address, "submit", "my set.npz", *TINY)
        running.expect("uploading my set.npz")
        wait_for(lambda: sum(service.partial().values()) > MB)
        again = interrupt(running)
        assert again == ["submit", "my set.npz", *TINY]
        (begun,) = service.partial()
        proxy.allow(1 << 40)

        running = terminal.type(address, *again)
        running.expect(r"(ds_\w+): ready, 2900 training and 100 test images, 2 classes, 32 px")
        running.expect(r"(job_\w+): queued")
        job_id = running.match[1]
        running.expect("condensing")
        again = interrupt(running)
        assert again == ["follow", job_id]
    with service.client() as client:
        assert next(client.datasets.list()).upload_id == begun, "what had come is not sent again"
        assert client.jobs.get(job_id).state in ("queued", "running", "succeeded"), "it is not cancelled"
    running = terminal.type(service.url, *again)
    running.expect(r"after iteration \d+, network 1: \d+\.\d%")
    running.expect("condensed, network 1: ")
    status, text = end(running)
    assert status == 0, text
    saved = tmp_path / job_id / "condensed.safetensors"
    assert hashlib.sha256(saved.read_bytes()).hexdigest() in text


def test_what_is_refused_after_the_upload_need_not_be_sent_again(
    service: Service, terminal: Terminal, tmp_path: Path
) -> None:
    set_of_two_classes(tmp_path / "set.npz")
    running = terminal.type(service.url, "submit", "set.npz", "--ipc", "2000")  # more than a class has
    running.expect(r"(ds_\w+) is ready. With other settings:\s+condensery submit (ds_\w+) --ipc 2000")
    assert running.match[1] == running.match[2]
    status, text = end(running)
    assert (status, "ipc is 2000; the limit" in text) == (1, True)


def test_download_is_interrupted_and_goes_on(service: Service, terminal: Terminal, tmp_path: Path) -> None:
    content = os.urandom(8 * MB)
    with service.client() as client:
        job_id = job_on_two_classes(client, tmp_path, iterations=1_000_000)
        client.jobs.get(job_id).cancel()  # so that this is its only file of this format
    database = Database(f"sqlite+pysqlite:///{service.data_dir / 'condensery.db'}")
    add_artifact(database, LocalStorage(service.data_dir), job_id, content, file_name="large.npz")
    database.engine.dispose()
    with BreakingProxy(service.port) as proxy:
        proxy.stalls = True
        proxy.cuts = [("down", 4 * MB), ("down", 4 * MB)]
        running = terminal.type(proxy.url, "download", job_id, "--format", "npz", "-o", "out")
        running.expect("downloading large.npz")
        wait_for(lambda: sum(one.stat().st_size for one in (tmp_path / "out").glob("*.part")) > MB)
        again = interrupt(running)
        assert again == ["download", job_id, "--format", "npz", "--output", "out"]
        assert not (tmp_path / "out" / "large.npz").exists()
        proxy.wait_until_at_rest()
        proxy.cuts, came = [], proxy.received
        status, text = end(terminal.type(proxy.url, *again))
        assert status == 0, text
        assert proxy.received - came < 7 * MB, "what had come is not fetched again"
    assert (tmp_path / "out" / "large.npz").read_bytes() == content
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["large.npz"]


def test_events_are_followed_over_a_restart_and_a_cancelled_job_is_a_failure(
    service: Service, terminal: Terminal, tmp_path: Path
) -> None:
    with service.client() as client:
        job_id = job_on_two_classes(client, tmp_path, iterations=1_000_000)
        watching = terminal.type(service.url, "events", job_id, "--follow")
        following = terminal.type(service.url, "follow", job_id)
        watching.expect(r"\s+1  \S+  queued")
        following.expect("condensing")
        service.kill_api()
        # Folded at the width of the terminal.
        following.expect(rf"cannot\s+reach\s+{re.escape(service.url)}.*;\s+trying\s+again\s+in")
        service.start_api()
        status, text = end(terminal.type(service.url, "cancel", job_id))
        assert (status, "cancel" in text) == (0, True)
        status, text = end(following)
        assert status == 1
        assert f"condensery: {job_id} was cancelled" in text
        status, text = end(watching)
        assert (status, "cancelled" in text) == (0, True)


def job_on_two_classes(client: Client, folder: Path, iterations: int = 5) -> str:
    set_of_two_classes(folder / "set.npz")
    dataset = client.datasets.add(folder / "set.npz").wait()
    evaluation = {"networks": 1, "epochs": 1, "baselines": []}
    network = {"width": 8, "depth": 2}
    return client.jobs.submit(
        dataset, ipc=1, iterations=iterations, batch_real=16, network=network, evaluation=evaluation
    ).id
