"""Lines of baselines in plots."""

from api.web.lines import LINES
from core.trials.methods import BASELINES


def test_every_baseline_has_a_line_that_no_other_has() -> None:
    assert tuple(LINES) == BASELINES
    for looks in ([one.dashes for one in LINES.values()], [one.words for one in LINES.values()]):
        assert len({*looks}) == len(BASELINES)
