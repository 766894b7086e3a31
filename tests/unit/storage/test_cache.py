"""Local copies: made once, bounded, the least recently used thrown away, never one that is in use."""

import multiprocessing
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from core.storage.cache import Cache
from tests.support.processes import wait_for

SIZE = 1000


def filled(cache: Cache, log: list[str] | None = None, name: str = "") -> Callable[[Path], None]:
    def fill(target: Path) -> None:
        if log is not None:
            log.append(name)
        cache.make_room(SIZE)
        target.write_bytes(bytes(SIZE))

    return fill


def use(cache: Cache, key: str, log: list[str] | None = None) -> None:
    with cache.hold(key, filled(cache, log, key)) as path:
        assert path.stat().st_size == SIZE


def held(folder: Path) -> set[str]:
    return {path.parent.name for path in folder.rglob("content")}


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path, 3 * SIZE)


def age(folder: Path, key: str, seconds: float) -> None:
    entry = folder / key
    then = entry.stat().st_mtime - seconds
    os.utime(entry, (then, then))


def test_made_once_however_many_ask(cache: Cache) -> None:
    log: list[str] = []
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(use, cache, "a/b", log) for _ in range(50)]:
            done.result()
    assert log == ["a/b"]


def test_the_least_recently_used_goes_first(cache: Cache, tmp_path: Path) -> None:
    for number, key in enumerate(("a", "b", "c")):
        use(cache, key)
        age(tmp_path, key, 100 - number)
    use(cache, "a")
    use(cache, "d")
    assert held(tmp_path) == {"a", "c", "d"}


def test_what_is_in_use_stays_whatever_the_limit(tmp_path: Path) -> None:
    cache = Cache(tmp_path, SIZE)
    with cache.hold("a", filled(cache)) as a, cache.hold("b", filled(cache)) as b:
        use(cache, "c")
        assert a.exists()
        assert b.exists()
        assert held(tmp_path) == {"a", "b"}
    assert len(held(tmp_path)) == 1


def _hold(folder: Path, ready: Event, leave: Event) -> None:
    cache = Cache(folder, 0)
    with cache.hold("a", filled(cache)):
        ready.set()
        leave.wait(60)


def test_what_another_process_uses_stays_until_it_ends_or_dies(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready, leave = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path, ready, leave))
    process.start()
    assert ready.wait(60)
    cache = Cache(tmp_path, 0)
    cache.make_room(SIZE)
    cache.forget("a")
    cache.forget_unused(-100)
    assert held(tmp_path) == {"a"}
    process.kill()
    process.join()
    cache.make_room(0)
    assert held(tmp_path) == set()


def test_a_copy_that_could_not_be_made_is_none(cache: Cache, tmp_path: Path) -> None:
    def fails(target: Path) -> None:
        target.write_bytes(b"half")
        raise OSError("cut")

    with pytest.raises(OSError, match="cut"), cache.hold("a", fails):
        pytest.fail("given out")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    use(cache, "a")


def test_what_a_dead_process_left_half_done_is_made_anew(cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "part").mkdir()
    (tmp_path / "a" / "part" / "half").write_bytes(b"half")
    use(cache, "a")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["content"]


def test_a_copy_that_was_half_thrown_away_is_made_anew(
    cache: Cache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process is killed while it deletes a folder, file by file."""

    def fill(target: Path) -> None:
        target.mkdir()
        for name in ("images", "labels"):
            (target / name).write_bytes(b"x")

    def killed(folder: Path) -> None:
        next(path for path in folder.rglob("*") if path.is_file()).unlink()
        raise KeyboardInterrupt

    with cache.hold("a", fill):
        pass
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(shutil, "rmtree", killed)
        cache.forget("a")
    with cache.hold("a", fill) as folder:
        assert sorted(path.name for path in folder.iterdir()) == ["images", "labels"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["content"]


def test_who_waits_for_a_copy_gets_it(cache: Cache) -> None:
    filling, go_on = threading.Event(), threading.Event()
    log: list[str] = []

    def slowly(target: Path) -> None:
        filling.set()
        assert go_on.wait(60)
        filled(cache, log, "slow")(target)

    def first() -> None:
        with cache.hold("a", slowly):
            pass

    with ThreadPoolExecutor(2) as pool:
        slow = pool.submit(first)
        assert filling.wait(60)
        waiting = pool.submit(use, cache, "a", log)
        cache.make_room(100 * SIZE)
        go_on.set()
        slow.result()
        waiting.result()
    assert log == ["slow"]


def test_copies_that_nobody_used_for_long_are_forgotten(cache: Cache, tmp_path: Path) -> None:
    for key in ("old", "new"):
        use(cache, key)
    age(tmp_path, "old", 3600)
    cache.forget_unused(600)
    assert held(tmp_path) == {"new"}
    cache.forget("new")
    cache.forget("new")
    wait_for(lambda: not list(tmp_path.iterdir()))


def test_evicting_and_using_at_once(tmp_path: Path) -> None:
    """Whoever holds a copy has all of it, however tight it is."""
    cache = Cache(tmp_path, SIZE)
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(use, cache, f"k{number % 4}") for number in range(300)]:
            done.result()
