"""The quick part of the fault matrix; all of it is `make faults`."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cases import BOTH, CASES, Case
from tests.faults.place import Place, place


@pytest.fixture(scope="module", params=BOTH)
def disturbed(request: pytest.FixtureRequest) -> Iterator[Place]:
    # PostgreSQL, which runs as another user, could not be here below pytest's own folder: any pytest that is
    # started meanwhile closes that to others.
    with tempfile.TemporaryDirectory(prefix="condensery-faults-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with place(request.param, folder) as running:
            yield running


@pytest.mark.parametrize("case", [one for one in CASES if one.quick], ids=lambda one: one.name)
def test_fault(disturbed: Place, case: Case) -> None:
    if disturbed.kind not in case.kinds:
        pytest.skip("of the other kind of service")
    case.do(disturbed)
    assert disturbed.verdict() == []
