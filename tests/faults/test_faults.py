"""The quick part of the fault matrix; all of it is `make faults`."""

from collections.abc import Iterator

import pytest

from tests.faults.cases import BOTH, CASES, Case
from tests.faults.place import Place, place


@pytest.fixture(scope="module", params=BOTH)
def disturbed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("faults")
    for parent in folder.parents[:3]:
        parent.chmod(0o755)  # PostgreSQL runs as another user
    folder.chmod(0o755)
    with place(request.param, folder) as running:
        yield running


@pytest.mark.parametrize("case", [one for one in CASES if one.quick], ids=lambda one: one.name)
def test_fault(disturbed: Place, case: Case) -> None:
    if disturbed.kind not in case.kinds:
        pytest.skip("of the other kind of service")
    case.do(disturbed)
    assert disturbed.verdict() == []
