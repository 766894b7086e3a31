"""The protocols that networks are evaluated by."""

import pytest

from core.engine.config import EvaluateConfig
from core.engine.protocols import PROTOCOLS
from core.engine.protocols.long import LONG
from core.engine.protocols.paper import PAPER
from core.engine.protocols.protocol import EvaluationProtocol


def test_the_papers_rate_falls_in_the_second_half() -> None:
    assert [PAPER.lr_in_epoch(e, 1000) for e in (1, 500)] == [0.01, 0.01]
    assert [PAPER.lr_in_epoch(e, 1000) for e in (501, 1000)] == pytest.approx([0.001, 0.001])
    # Of an odd number the second half is the longer one; of a single epoch it is all.
    assert [PAPER.lr_in_epoch(e, 3) for e in (1, 2, 3)] == pytest.approx([0.01, 0.001, 0.001])
    assert PAPER.lr_in_epoch(1, 1) == pytest.approx(0.001)


def test_a_rate_may_fall_more_than_once_or_never() -> None:
    two = EvaluationProtocol(
        title="", link="", epochs=12, lr=1.0, momentum=0.0, weight_decay=0.0, batch=1,
        lr_drops=((2 / 3, 0.5), (5 / 6, 0.5)),
    )  # fmt: skip
    assert [two.lr_in_epoch(e, 12) for e in (8, 9, 10, 11, 12)] == [1, 0.5, 0.5, 0.25, 0.25]
    assert two.described(12) == (
        "SGD (lr 1, from epoch 9 on 0.5 of it, from epoch 11 on 0.25 of it; momentum 0, weight decay 0), "
        "batch 1"
    )


def test_a_rate_may_rise_and_fall_with_the_steps() -> None:
    cycle = EvaluationProtocol(title="", link="", epochs=2, lr=1.0, weight_decay=0.0, batch=1, rise=0.2)
    rates = [cycle.lr_at(step, 10, 2) for step in range(1, 11)]
    assert rates == pytest.approx([1 / 2, *(left / 9 for left in range(9, 0, -1))])
    assert cycle.described(2).startswith("SGD (lr 1, risen to over the first 20% of the steps and fallen to")


def test_a_rate_that_drops_does_so_between_epochs() -> None:
    rates = [PAPER.lr_at(step, 6, 3) for step in range(1, 7)]
    assert rates == [PAPER.lr_in_epoch(epoch, 3) for epoch in (1, 1, 2, 2, 3, 3)]


def test_long_counts_steps() -> None:
    assert LONG.epochs_on(40) == 5_000
    assert LONG.epochs_on(400) == 715 and LONG.steps_an_epoch(400) == 7


def test_the_papers_in_words() -> None:
    assert PAPER.described(1_000) == (
        "SGD (lr 0.01, from epoch 501 on a tenth of it; momentum 0.9, weight decay 0.0005), batch 256"
    )


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_can_be_configured_and_says_whence_it_is(name: str) -> None:
    protocol = PROTOCOLS[name]
    for images in (10, 400, 50_000):
        epochs = protocol.epochs_on(images)
        EvaluateConfig(protocol=protocol, epochs=epochs)
        assert protocol.steps_an_epoch(images) * epochs >= protocol.steps
        assert protocol.described(epochs)
    assert protocol.title and protocol.link.startswith("https://arxiv.org/abs/")
