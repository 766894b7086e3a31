"""schemathesis against the service on a real port: every answer is one that the OpenAPI document names.

All its checks: no 500, and status, content type, headers and body as documented; invalid requests are
refused and valid ones are not, what was deleted is gone, what was made is there, and nothing is done
without a key. CONDENSERY_FUZZ_EXAMPLES says how many cases an operation gets (`make fuzz-api`).
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import httpx2
import pytest

from core.db.session import Database
from core.storage.local import LocalStorage
from tests.support.populated import Rows, populate
from tests.support.service import ROOT, Service

EXAMPLES = int(os.environ.get("CONDENSERY_FUZZ_EXAMPLES", "3"))
#: `coverage` tries every border of every field, once, and takes a minute.
PHASES = "examples,fuzzing,stateful" + (",coverage" if "CONDENSERY_FUZZ_EXAMPLES" in os.environ else "")
SEED = os.environ.get("CONDENSERY_FUZZ_SEED", "1")


@pytest.fixture
def service(database_url: str, tmp_path: Path) -> Iterator[Service]:
    """An API without a worker."""
    running = Service(tmp_path / "data", CONDENSERY_DATABASE_URL=database_url)
    running.start_api()
    yield running
    running.stop()


@pytest.fixture
def rows(service: Service, database: Database) -> Rows:
    with httpx2.Client(base_url=service.url) as http:
        return populate(http, database, LocalStorage(service.data_dir), "fuzzer", min(4 + EXAMPLES, 100))


def configuration(folder: Path, rows: Rows) -> Path:
    """Ours, and ids that exist for half of the parameters that want one."""
    path = folder / "schemathesis.toml"
    lines = [(Path(__file__).parent / "schemathesis.toml").read_text()]
    for kind, ids in asdict(rows).items():
        if kind != "token":
            lines.append(f"[dictionaries.{kind}]\nvalues = {json.dumps(ids)}")
            # Data sets are made from an upload or from a path: an id for the one would contradict the other.
            for where in ("path", "query") if kind == "upload_id" else ("path", "query", "body"):
                lines.append(f'[parameters."{where}.{kind}"]\ndictionary = "{kind}"\nprobability = 0.5')
    path.write_text("\n".join(lines))
    return path


@pytest.mark.timeout(3600)
def test_every_answer_is_documented(service: Service, rows: Rows, tmp_path: Path) -> None:
    done = subprocess.run(
        [
            shutil.which("schemathesis", path=Path(sys.executable).parent) or "schemathesis",
            "--config-file", configuration(tmp_path, rows), "run", f"{service.url}/openapi.json",
            "--header", f"Authorization: Bearer {rows.token}", "--max-examples", str(EXAMPLES),
            "--phases", PHASES,
            "--seed", SEED, "--generation-database", "none", "--continue-on-failure",
            "--no-color",
        ],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CONDENSERY_FUZZER_KEY": rows.token.partition(".")[0]},
        check=False,
        capture_output=True,
        text=True,
    )  # fmt: skip
    print(done.stdout[-1000:])
    assert done.returncode == 0, done.stdout + done.stderr
    tested = re.search(r"Tested: (\d+)", done.stdout)
    assert tested is not None
    paths = httpx2.get(f"{service.url}/openapi.json").json()["paths"]
    assert int(tested[1]) == sum(map(len, paths.values())), "every operation that the document has"
    # A run that met nothing but 404s, or lost its key, would find nothing either.
    statuses = Counter(re.findall(r'"status": (\d+)', service.log.read_text()))
    print(statuses)
    done_well = sum(times for status, times in statuses.items() if status.startswith("2"))
    assert done_well > statuses["401"] + statuses["404"]
