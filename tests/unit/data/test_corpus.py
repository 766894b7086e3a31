"""Every hostile or broken upload is refused by its code, soon, in little memory, and leaves nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.data.case import Case
from tests.data.corpus import CASES, LIST_FILE, write

ROOT = Path(__file__).parents[3]
SECONDS = 2.0
GROWTH_BYTES = 128 * 2**20


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What came of each case, all in one process."""
    place = tmp_path_factory.mktemp("corpus")
    uploads, temporary, current = (place / name for name in ("uploads", "temporary", "current"))
    temporary.mkdir()
    current.mkdir()
    write(uploads)
    done = subprocess.run(
        [sys.executable, "-m", "tests.data.read_all", str(uploads)],
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)},
        cwd=current,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    # The canary of the pickles would be in the working directory.
    assert list(current.iterdir()) == []
    assert list(temporary.iterdir()) == []
    assert {path.name for path in uploads.iterdir()} == {LIST_FILE, *(case.name for case in CASES)}
    lines = map(json.loads, done.stdout.splitlines())
    return {line["name"]: line for line in lines}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_refused(seen: dict[str, dict[str, Any]], case: Case) -> None:
    found = seen[case.name]
    assert found["code"] == case.code, found["detail"]
    assert {key: found["context"].get(key) for key in case.context} == case.context
    assert len(found["detail"]) > 20 or not case.make()
    stored = json.dumps([found["detail"], found["context"]], ensure_ascii=False)
    assert stored.encode() and "\\u0000" not in stored, "no database takes it"
    assert found["left"] == found["left_before"]
    assert found["seconds"] < SECONDS
    assert found["growth"] < GROWTH_BYTES


def test_cases_have_names_of_their_own_and_bytes_that_do_not_change() -> None:
    assert len({case.name for case in CASES}) == len(CASES) >= 100
    for case in CASES[::20]:
        assert case.make() == case.make(), case.name
