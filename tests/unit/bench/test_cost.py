"""The benchmark of cost, and the page that the benchmarks share."""

from pathlib import Path

import pytest

from bench.cost import BATCH_REAL, IPC, Cell, in_a_process, section
from bench.page import write_section


def cell(classes: int, side: int, seconds: float) -> Cell:
    return Cell(
        classes=classes, per_class=4, side=side, seconds=seconds,
        before=2**20, peak=2**21, mapped=2**19, threads=1,
    )  # fmt: skip


def test_a_set_larger_than_what_is_resident_is_iterated_on() -> None:
    """Memory-mapped."""
    measured = in_a_process(2, 1_000_000, 64)
    assert measured.set_bytes == 2_000_000 * 12_288
    assert 0 < measured.before <= measured.peak < measured.set_bytes / 8
    assert 0 < measured.mapped < measured.peak and measured.seconds > 0


def test_the_cost_is_divided_by_images_and_pixels() -> None:
    assert cell(10, 32, 1.0).images == 10 * (BATCH_REAL + 3 * IPC)
    # Twice the classes at twice the side: eight times the work.
    assert cell(20, 64, 8.0).nanoseconds == pytest.approx(cell(10, 32, 1.0).nanoseconds)
    text = section([cell(10, 32, 1.0), cell(20, 64, 16.0)], cell(1_000, 64, 2.0))
    assert "a\nfactor of 2.0, while the work grows 8-fold" in text
    assert "| 10 | 32 | 3 | 1.000 |" in text


def test_a_section_replaces_only_itself(tmp_path: Path) -> None:
    page = tmp_path / "docs" / "performance.md"
    for name, text in (("cost", "cost 1"), ("speed", "speed 1"), ("cost", "cost 2")):
        write_section(name, text, page)
    written = page.read_text()
    assert written.index("# Performance") < written.index("speed 1") < written.index("cost 2")
    assert "cost 1" not in written and written.count("<!-- end -->") == 2
    with pytest.raises(ValueError, match="'other' is not one of speed, cost"):
        write_section("other", "", page)
