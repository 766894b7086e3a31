"""What processes write: JSON lines that can be joined, and no secret in any."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.redaction import Redaction
from core.settings import Settings
from tests.support.servers import free_port

ROOT = Path(__file__).parents[2]
TOKEN = "key_0193c0ffee0193c0ffee.abcDEF_-123abcDEF"

WRITES_LINES = """
import logging, threading, warnings
import structlog
from core import logs
from core.settings import get_settings
logs.configure(get_settings(), process="test")
structlog.contextvars.bind_contextvars(request_id="r1")
structlog.get_logger("ours").info("hello", address=get_settings().database)
logging.getLogger("theirs").warning("a message of theirs to %s", get_settings().broker)
logging.getLogger("celery.worker.strategy").info("not to be seen")
warnings.warn("mind")
thread = threading.Thread(target=lambda: structlog.get_logger("thread").info("from a thread"))
thread.start(); thread.join()
raise RuntimeError("at " + get_settings().database)
"""

#: By what is started: what writes to its log.
PROCESSES = {"api": ["api"], "worker": ["worker", "webhooks", "tidying"]}


def lines_of(code: str, **environment: str) -> list[dict[str, object]]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONDENSERY_")}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=clean | environment, cwd=ROOT, text=True, capture_output=True
    )
    assert ran.stdout == ""
    return [json.loads(line) for line in ran.stderr.splitlines()]


def test_every_line_is_json_and_says_where_it_comes_from() -> None:
    lines = lines_of(
        WRITES_LINES,
        CONDENSERY_DATABASE_URL="postgresql+psycopg://me:hunter2%40x@db/main",
        CONDENSERY_BROKER_URL='redis://:s3cr3t"q@queue/0',
    )
    by_logger = {line["logger"]: line for line in lines}
    assert list(by_logger) == ["ours", "theirs", "py.warnings", "thread", "core.logs"]
    for line in lines:
        assert {"timestamp", "level", "event", "process", "pid"} <= line.keys()
        assert line["process"] == "test"
    assert by_logger["ours"]["request_id"] == by_logger["theirs"]["request_id"] == "r1"
    assert by_logger["core.logs"]["level"] == "critical"
    assert "RuntimeError" in str(by_logger["core.logs"]["exception"])
    text = json.dumps(lines)
    for secret in ("hunter2", "s3cr3t"):
        assert secret not in text
    assert "postgresql+psycopg://me:***@db/main" in text


@pytest.mark.parametrize(
    ("line", "hidden", "kept"),
    [
        (f"Authorization: Bearer {TOKEN}", "abcDEF", "Bearer"),
        (f"GET /v1/keys/{TOKEN}", "abcDEF", "key_0193c0ffee0193c0ffee."),
        ("authorization: basic aGVsbG86d29ybGQ=", "aGVsbG8", "basic"),
        ("amqp://guest:pa:ss@host/x", "pa:ss", "amqp://guest:"),
        ("redis://:onlyapassword@host/0", "onlyapassword", "@host/0"),
        ("signed with whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "MfKQ9", "whsec_"),
        ("https://example.org:8443/a@b", "\0", "https://example.org:8443/a@b"),
    ],
)
def test_what_looks_like_a_secret(line: str, hidden: str, kept: str) -> None:
    shown = Redaction(Settings())(None, "", line)
    assert hidden not in shown
    assert kept in shown


def test_a_long_word_is_not_looked_through_again_and_again() -> None:
    """A path of 64 KiB comes from anybody."""
    for word in ("a" * 65_536, "key_" * 16_384, "://" * 20_000, "bearer " * 9_000, "://a:b" * 10_000):
        Redaction(Settings())(None, "", word)


@pytest.mark.parametrize("module", ["api", "worker"])
def test_startup_that_fails_names_no_password(module: str, tmp_path: Path) -> None:
    environment = {
        "CONDENSERY_DATA_DIR": str(tmp_path),
        "CONDENSERY_HOST": "0.0.0.0",
        "CONDENSERY_DATABASE_URL": f"postgresql+psycopg://me:hunter2@127.0.0.1:{free_port()}/none",
        "CONDENSERY_BROKER_URL": f"redis://:hunter2@127.0.0.1:{free_port()}/0",
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("CONDENSERY_")}
    process = subprocess.Popen(
        [sys.executable, "-m", module], env=clean | environment, cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert process.stdout is not None
    lines = []
    try:
        for line in process.stdout:
            lines.append(line)
            if "does not answer" in line or "Cannot connect" in line or "OperationalError" in line:
                if module == "worker" and not any("Cannot connect" in one for one in lines):
                    continue
                break
    finally:
        process.terminate()
        rest, _ = process.communicate(timeout=30)
    lines += rest.splitlines()
    assert lines
    for line in lines:
        assert "hunter2" not in line
        assert json.loads(line)["process"] in PROCESSES[module]
