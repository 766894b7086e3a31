"""Every artifact of a small set has the bytes that the first version of this service gave it.

To record anew, after a change that is meant to change bytes or a new version of a library:
`python -m tests.unit.export.test_recorded_bytes`.
"""

import json
import platform
import tempfile
from importlib.metadata import version
from pathlib import Path

import pytest
from PIL import features

from core.export.artifacts import write_all
from tests.unit.export.conftest import build

RECORD = Path(__file__).with_name("recorded_bytes.json")
CHANNELS = ("1", "3", "4")


def written_by() -> dict[str, str]:
    """What the bytes depend on beside our code: the libraries, and the compression built into Pillow."""
    libraries = {name: version(name) for name in ("numpy", "pillow", "pyarrow", "safetensors", "torch")}
    zlib = {"zlib": features.version("zlib") or "", "machine": platform.machine()}
    return {name: text.partition("+")[0] for name, text in {**libraries, **zlib}.items()}


def digests(channels: str, out: Path) -> dict[str, str]:
    return {one.format: one.sha256 for one in write_all(build(channels=int(channels)), out)}


@pytest.mark.parametrize("channels", CHANNELS)
def test_the_bytes_are_those_recorded(channels: str, tmp_path: Path) -> None:
    record = json.loads(RECORD.read_text())
    if record["written_by"] != written_by():
        pytest.skip(f"recorded with {record['written_by']}, here are {written_by()}")
    recorded, found = record["sha256"][channels], digests(channels, tmp_path)
    if record["python"] != platform.python_version():
        # Heads of zip members that may grow over 4 GiB are others in Python 3.11.2 than in 3.11.7.
        assert recorded.pop("npz") and found.pop("npz")
    assert found == recorded


def record() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = {channels: digests(channels, Path(folder) / channels) for channels in CHANNELS}
    by = {"written_by": written_by(), "python": platform.python_version()}
    RECORD.write_text(json.dumps({**by, "sha256": found}, indent=2) + "\n")


if __name__ == "__main__":
    record()
