"""Who may be sent to beside whom, and when a delivery is tried again."""

from core.webhooks.deliveries import (
    AT_ONCE,
    AT_ONCE_OF_OWNER,
    AT_ONCE_OF_WEBHOOK,
    RETRY_SECONDS,
    Candidate,
    _wait,
    choose,
)


def candidates(owner: str, webhook: str, count: int) -> list[Candidate]:
    return [Candidate(delivery_id=f"{webhook}-{n}", webhook_id=webhook, owner=owner) for n in range(count)]


def test_a_webhook_and_an_owner_take_up_some_of_the_places() -> None:
    slow = [one for n in range(20) for one in candidates("slow", f"slow{n}", 10)]
    other = candidates("other", "o", 1)
    chosen = choose([*slow, *other], [])
    assert len(chosen) == AT_ONCE_OF_OWNER + 1
    assert "o-0" in chosen
    assert sum(one.startswith("slow0-") for one in chosen) == AT_ONCE_OF_WEBHOOK


def test_what_is_under_way_counts() -> None:
    of_webhook = candidates("a", "w", AT_ONCE_OF_WEBHOOK)
    assert choose(candidates("a", "w", 3), of_webhook) == []
    assert choose(candidates("a", "w", 3), of_webhook[1:]) == ["w-0"]
    everybody = [one for n in range(AT_ONCE) for one in candidates(f"owner{n}", f"w{n}", 1)]
    assert choose(candidates("z", "z", 1), everybody) == []
    assert choose(candidates("z", "z", 1), everybody[1:]) == ["z-0"]


def test_the_schedule() -> None:
    for attempt, seconds in enumerate(RETRY_SECONDS, start=1):
        waits = [_wait(attempt, None) or 0 for _ in range(50)]
        assert min(waits) >= seconds
        assert max(waits) <= seconds * 1.2
        assert len(set(waits)) > 1
    assert _wait(len(RETRY_SECONDS) + 1, None) is None
    assert 70 * 3600 < sum(RETRY_SECONDS) < 80 * 3600


def test_the_target_may_ask_for_more_time_but_not_for_less_nor_for_ever() -> None:
    assert _wait(1, 120) == 120
    assert 300 <= (_wait(2, 1) or 0) <= 360
    assert _wait(1, 1e9) == 86_400
    assert 5 <= (_wait(1, -50) or 0) <= 6
