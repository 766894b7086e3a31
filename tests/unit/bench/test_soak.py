"""The benchmark of leaks: what it calls one."""

from dataclasses import replace

from bench.soak import FIRST_ROUNDS, Held, leaks, section

RESTS = Held(
    api_files=14, worker_files=78, processes=8, temporary_files=0, blobs=0, rows=0,
    api_memory=130 << 20, worker_memory=600 << 20,
)  # fmt: skip


def test_what_is_more_at_the_end_leaks() -> None:
    rounds = [replace(RESTS, api_files=14 + n // 10, api_memory=n << 20) for n in range(40)]
    assert leaks(rounds) == ["api_files"]
    assert "| api files | 14 | 17 | **yes** |" in section(rounds, 1)


def test_what_is_filled_once_or_held_for_a_moment_does_not() -> None:
    first = [replace(RESTS, worker_files=n) for n in range(FIRST_ROUNDS)]
    moment = [replace(RESTS, temporary_files=3, processes=9)]
    assert leaks([*first, *[RESTS] * 20, *moment, *[RESTS] * 5]) == []
