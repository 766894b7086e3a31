"""The time that an evaluation still takes, by the work that was done."""

import time

import pytest

from core.engine.config import EvaluateConfig
from core.trials.time_left import TimeLeft, Training, work_of


def network(method: str, name: str = "a", repeat: int = 0) -> Training:
    return Training(method=method, network=name, repeat=repeat)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def test_work_counts_images_once_forward() -> None:
    assert work_of(EvaluateConfig(epochs=10), 50, 300) == 3 * 10 * 50 + 300


def test_nothing_is_said_before_anything_was_measured(clock: list[float]) -> None:
    judged = TimeLeft({network("condensed"): 100.0, network("random"): 100.0})
    assert judged.seconds_left() is None
    judged.begin(network("condensed"))
    assert judged.seconds_left() is None
    clock[0] += 5
    judged.step(0.25)
    assert judged.seconds_left() == pytest.approx(0.75 * 20 + 20)
    judged.end(network("condensed"), 20.0)
    assert judged.seconds_left() == pytest.approx(20)
    judged.end(network("random"), 20.0)
    assert judged.seconds_left() == 0


def test_another_architecture_is_not_judged_by_this_one() -> None:
    judged = TimeLeft({network("condensed"): 100.0, network("condensed", "b"): 100.0})
    judged.end(network("condensed"), 20.0)
    assert judged.seconds_left() is None


def test_the_whole_set_is_judged_by_its_work_and_then_by_itself() -> None:
    whole = [network("whole", repeat=repeat) for repeat in (0, 1)]
    judged = TimeLeft({network("condensed"): 100.0, **dict.fromkeys(whole, 1000.0)})
    judged.end(network("condensed"), 20.0)
    assert judged.seconds_left() == pytest.approx(400)
    judged.end(whole[0], 50.0)
    assert judged.seconds_left() == pytest.approx(50)
