"""docs/performance.md: each benchmark writes its own section, the others stay as they were measured."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"

SECTIONS = (
    "speed",
    "cost",
    "overhead",
    "first_iteration",
    "workers",
    "upload",
    "ingest",
    "api",
    "pages",
    "soak",
)
"""In the order of the page."""

HEAD = """# Performance

The engine's sections are written by `make bench` (`python -m bench` and `python -m bench.cost`), that on the
service around it by `python -m bench.overhead`, `python -m bench.first_iteration` and
`python -m bench.workers`, those on data by `python -m bench.upload` and `python -m bench.ingest`, that on the
API by `make bench-api`, that on the pages by `python -m bench.pages`, that on leaks by
`python -m bench.soak`. On a CPU only the ratios are claims: seconds belong to the machine.

What was tried to make the engine faster, and what it brought: [speed-ups.md](speed-ups.md). What the
condensed sets are worth: `python -m bench.accuracy`."""

MARKED = re.compile(r"<!-- bench: (\w+) -->\n(.*?)\n<!-- end -->", re.DOTALL)


def write_section(name: str, text: str, page: Path = PAGE) -> None:
    """Put a section in, new or instead of its last measurement.

    Raises:
        ValueError: a name that is not in SECTIONS.
    """
    if name not in SECTIONS:
        raise ValueError(f"section {name!r} is not one of {', '.join(SECTIONS)}")
    written = dict(MARKED.findall(page.read_text(encoding="utf-8"))) if page.exists() else {}
    written[name] = text.strip()
    marked = [f"<!-- bench: {one} -->\n{written[one]}\n<!-- end -->" for one in SECTIONS if one in written]
    page.parent.mkdir(exist_ok=True)
    page.write_text("\n\n".join([HEAD, *marked]) + "\n", encoding="utf-8")
