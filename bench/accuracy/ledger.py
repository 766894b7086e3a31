"""What has been found so far, on disk at once: JSON lines of records, and the sets that they speak of.

Under one folder: records.jsonl, sets/ (safetensors: float32 `images`, int64 `labels`, or int64 `indices` into
the training split), checkpoints/ (runs not yet at their end) and data/ (canonical forms).
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from safetensors.torch import load_file, save_file
from torch import Tensor

RECORDS_FILE = "records.jsonl"

Record = dict[str, Any]


def text_of(value: object) -> str:
    """One text for one value, to compare settings by."""
    return json.dumps(value, sort_keys=True, allow_nan=False)


def key_of(value: object) -> str:
    """A short name for settings, fit for a file."""
    return hashlib.blake2b(text_of(value).encode(), digest_size=10).hexdigest()


def read_records(folder: Path) -> list[Record]:
    """All whole records, oldest first.

    Raises:
        FileNotFoundError: nothing was recorded there.
        ValueError: a line that is no record.
    """
    path = folder / RECORDS_FILE
    if not path.exists():
        raise FileNotFoundError(f"{path} is not there: nothing was measured with this --state")
    records: list[Record] = []
    # A process that died while it wrote leaves a last line without its end.
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], 1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}: not JSON ({error})") from error
    return records


class Ledger:
    """The one writer of a folder.

    Raises:
        BlockingIOError: another process writes there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("sets", "checkpoints", "data"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        self._file = (folder / RECORDS_FILE).open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise BlockingIOError(f"{folder}: another run is writing there") from None
        self._records = {self._identity(record): record for record in read_records(folder)}
        self._file.truncate((folder / RECORDS_FILE).read_bytes().rfind(b"\n") + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @staticmethod
    def _identity(record: Mapping[str, Any]) -> str:
        return text_of([record.get(field) for field in ("kind", "set", "training", "repeat")])

    def find(self, **identity: Any) -> Record | None:
        """The record of this `kind`, `set`, `training` and `repeat`; those not given are not there."""
        return self._records.get(self._identity(identity))

    def add(self, record: Record) -> None:
        """Safe on disk when this returns."""
        self._file.write(text_of(record).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())
        self._records[self._identity(record)] = record

    def add_set(
        self, about: Mapping[str, Any], tensors: dict[str, Tensor], facts: Record, kind: str = "set"
    ) -> None:
        """A set's tensors first, so that a record always finds them."""
        path = self._set_file(about)
        part = path.with_suffix(".part")
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, part)
        part.replace(path)
        self.add({"kind": kind, "set": dict(about), "file": path.name, **facts})

    def load_set(self, about: Mapping[str, Any]) -> dict[str, Tensor]:
        """Tensors of a set that has a record, on the CPU."""
        return load_file(self._set_file(about))

    def _set_file(self, about: Mapping[str, Any]) -> Path:
        return self.folder / "sets" / f"{about['dataset']}-{about['method']}-{key_of(about)}.safetensors"
