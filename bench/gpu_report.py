"""What bench/gpu.py measures and says: rows as they come, so that a run cut short has said what it knows."""

import itertools
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

ITERATIONS = 20_000
DEADLINE = 500.0
"""Seconds after the start from which no row is begun."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How much is measured: at most `steps` and at most `seconds` for a timing."""

    device: str
    per_class: int
    batch_real: int
    ipcs: tuple[int, ...]
    width: int
    steps: int
    seconds: float
    networks: int


@dataclass(frozen=True, kw_only=True)
class Row:
    """A measurement. Errors are relative, to the reference; `note` says what failed."""

    work: str
    way: str
    milliseconds: float | None = None
    steps: int | None = None
    gain: float | None = None
    peak_mib: int | None = None
    loss_error: float | None = None
    gradient_error: float | None = None
    note: str = ""


class Report:
    """Rows as they come, printed and written at once."""

    def __init__(self, scale: Scale) -> None:
        self.began, self.rows, self.scale = time.monotonic(), list[Row](), scale
        device = torch.cuda.get_device_name() if scale.device == "cuda" else "CPU, smoke run"
        self.head = {"device": device, "torch": torch.__version__, "scale": asdict(scale)}

    def measure(self, work: str, way: str, measured: Callable[[], dict[str, Any]]) -> Row:
        """One row. Only here may anything fail without ending the run: the other rows are worth having."""
        if time.monotonic() - self.began > DEADLINE:
            row = Row(work=work, way=way, note="not begun: out of time")
        else:
            if self.scale.device == "cuda":
                torch.cuda.empty_cache()
                torch.cuda.reset_peak_memory_stats()
            try:
                row = Row(work=work, way=way, **measured())
                if self.scale.device == "cuda":
                    found = {**asdict(row), "peak_mib": torch.cuda.max_memory_allocated() >> 20}
                    row = Row(**found)
            except Exception as error:
                lines = str(error).strip().splitlines() or [""]
                row = Row(work=work, way=way, note=f"failed: {type(error).__name__}: {lines[0][:160]}")
        self.rows.append(row)
        print(f"[{time.monotonic() - self.began:5.0f} s] {self._line(row)}", flush=True)  # noqa: T201
        if "OUT" in os.environ:
            out = Path(os.environ["OUT"])
            (out / "gpu.md").write_text(self.table() + "\n", encoding="utf-8")
            rows = [asdict(row) for row in self.rows]
            (out / "gpu.json").write_text(json.dumps({**self.head, "rows": rows}, indent=1), encoding="utf-8")
        return row

    def table(self) -> str:
        """Markdown. A condensation's seconds are extrapolated from the steps timed."""
        titles = (
            f"work | way | ms a step | steps timed | {ITERATIONS:,} iterations | faster | peak MiB "
            "| loss error | gradient error | note"
        )
        head = f"{self.head['device']}, torch {self.head['torch']}\n"
        return "\n".join([head, f"| {titles} |", "|" + "---|" * 10, *map(self._line, self.rows)])

    @staticmethod
    def _line(row: Row) -> str:
        total = ""
        if row.milliseconds is not None and row.work.startswith("condensation"):
            total = f"{row.milliseconds * ITERATIONS / 1000:.0f} s"
        cells = [
            row.work,
            row.way,
            "" if row.milliseconds is None else f"{row.milliseconds:.2f}",
            "" if row.steps is None else str(row.steps),
            total,
            "" if row.gain is None else f"{row.gain:.1f}×",
            "" if row.peak_mib is None else str(row.peak_mib),
            "" if row.loss_error is None else f"{row.loss_error:.1e}",
            "" if row.gradient_error is None else f"{row.gradient_error:.1e}",
            row.note,
        ]
        return "| " + " | ".join(cells) + " |"


def timed(steps: Iterator[Any], scale: Scale, warm_up: int = 5) -> dict[str, Any]:
    """Mean milliseconds of a step, over as many as the scale allows, the device's work included."""

    def synchronize() -> None:
        if scale.device == "cuda":
            torch.cuda.synchronize()

    for _ in itertools.islice(steps, min(warm_up, scale.steps)):
        pass
    synchronize()
    began, done = time.perf_counter(), 0
    while done < scale.steps and time.perf_counter() - began < scale.seconds:
        done += sum(1 for _ in itertools.islice(steps, min(10, scale.steps - done)))
        # The host runs ahead: without waiting, the clock would not see the device.
        synchronize()
    return {"milliseconds": (time.perf_counter() - began) / done * 1000, "steps": done}
