"""Networks that a condensation matches in: trained once, by whoever is free, and kept for other jobs."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from core.catalogue.datasets import delete_dataset
from core.catalogue.orphans import orphans
from core.catalogue.usage import usage_of
from core.db.models import Artifact, CondensedSet, Job, PooledNetwork, Trial
from core.engine.config import PoolConfig
from core.engine.pool import SNAPSHOTS, train_pool_network
from core.engine.recipes import RECIPES
from core.inventory import take_inventory
from core.kinds.condense import pool as pooling
from core.retention import apply
from core.trials.methods import OF_THE_SET
from core.trials.results import POOL
from core.work.reaper import reap
from tests.support.condensed import next_attempt, torch_as_it_was
from tests.support.leased import OWNER, event_types, events_of, expire, job_of
from tests.support.processes import runner_of, wait_for
from tests.support.trials import another_worker
from tests.support.workplace import Workplace, embedded_workplace, workplace
from worker import phases, trial

#: Collages although the images are small, and no evaluation to wait for.
WANTED: dict[str, Any] = {
    "recipe": "dance", "form": "collage-2", "ipc": 2, "iterations": 3, "batch_real": 8,
    "evaluation": {"networks": 1, "epochs": 1, "baselines": ["random-collage"]},
}  # fmt: skip
SHORT = {"networks": 3, "epochs": 2}


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipe's pool, in a few steps."""
    monkeypatch.setitem(RECIPES, "dance", replace(RECIPES["dance"], pool=PoolConfig(**SHORT)))


@pytest.fixture
def place(
    database: Any, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Workplace]:
    with workplace(database, database_url, tmp_path / "data", monkeypatch) as made, torch_as_it_was():
        yield made


def new_job(place: Workplace, dataset_id: str, **more: Any) -> str:
    job_id = place.new_job(dataset_id, **(WANTED | more))
    with place.database.writing() as session:
        session.get_one(Job, job_id).phase = "pool"
    return job_id


def run(place: Workplace, job_id: str) -> None:
    """To the export, which another queue serves."""
    phases.run(next_attempt(place.database, place.storage, place.settings, job_id))


def pooled(place: Workplace) -> list[PooledNetwork]:
    with place.database.reading() as session:
        return list(session.scalars(select(PooledNetwork).order_by(PooledNetwork.repeat)))


def trained_by(place: Workplace, job_id: str) -> list[int]:
    return [one.data["repeat"] for one in events_of(place.database, job_id) if one.type == "pooled"]


def while_it_trains(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], object]) -> None:
    """Before each network that the attempt at the job trains, with its number."""

    def watched(real: Any, training: Any, repeat: int, **more: Any) -> Any:
        act(repeat)
        return (yield from train_pool_network(real, training, repeat, **more))

    monkeypatch.setattr(pooling, "train_pool_network", watched)


def test_a_job_trains_its_pool_first_and_the_next_one_finds_it(place: Workplace) -> None:
    dataset_id = place.new_dataset()
    first, second = new_job(place, dataset_id), new_job(place, dataset_id, ipc=1, seed=7)
    run(place, first)
    assert trained_by(place, first) == [0, 1, 2]
    phases_seen = [one.data["phase"] for one in events_of(place.database, first) if one.type == "phase"]
    assert phases_seen == ["condense", "evaluate"]
    rows = pooled(place)
    assert [one.repeat for one in rows] == [0, 1, 2]
    assert rows[0].training["epochs"] == 2 and rows[0].training["moments"] == SNAPSHOTS + 1
    with place.database.reading() as session:
        usage = usage_of(session, OWNER)
    assert usage.pool_bytes == sum(one.size for one in rows) > 0
    assert usage.stored_bytes > usage.pool_bytes

    run(place, second)
    assert trained_by(place, second) == [] and len(pooled(place)) == 3
    assert "estimate" in event_types(place.database, second)
    assert not take_inventory(place.database, place.storage, hashes=True).findings


def test_networks_that_are_done_are_not_trained_again_after_a_stop(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = new_job(place, place.new_dataset())

    class Stopped(Exception):
        pass

    def stop(repeat: int) -> None:
        if repeat == 1:
            raise Stopped

    while_it_trains(monkeypatch, stop)
    with pytest.raises(Stopped):
        run(place, job_id)
    assert trained_by(place, job_id) == [0]
    with place.database.writing() as session:
        expire(session, Job, job_id)
        reap(session, place.storage, place.settings)
    seen: list[int] = []
    while_it_trains(monkeypatch, seen.append)
    run(place, job_id)
    assert seen == [1, 2] and trained_by(place, job_id) == [0, 1, 2]


def test_other_workers_train_for_it_to_the_same_bits(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = place.new_dataset()
    alone = new_job(place, dataset_id)
    run(place, alone)
    expected = [one.sha256 for one in pooled(place)]
    with place.database.writing() as session:
        for one in session.scalars(select(PooledNetwork)):
            session.delete(one)
    shared = new_job(place, dataset_id)

    def another_does_one(repeat: int) -> None:
        if repeat == 0:
            attempt = another_worker(place)
            with place.database.reading() as session:
                assert session.get_one(Trial, attempt.lease.row_id).group == POOL
            trial.run(attempt)

    seen: list[int] = []

    def act(repeat: int) -> None:
        seen.append(repeat)
        another_does_one(repeat)

    while_it_trains(monkeypatch, act)
    run(place, shared)
    assert [one.sha256 for one in pooled(place)] == expected
    assert len(seen) == 2 and sorted(trained_by(place, shared)) == [0, 1, 2]


def test_a_damaged_network_is_trained_again_and_the_images_are_the_same(place: Workplace) -> None:
    dataset_id = place.new_dataset()
    undisturbed, job_id = new_job(place, dataset_id), new_job(place, dataset_id)
    run(place, undisturbed)
    (_, damaged, _) = pooled(place)
    place.path(damaged.blob_key).write_bytes(b"x" * damaged.size)
    run(place, job_id)
    assert trained_by(place, job_id) == [1]
    phases_seen = [one.data["phase"] for one in events_of(place.database, job_id) if one.type == "phase"]
    assert phases_seen == ["condense", "pool", "condense", "evaluate"]
    assert pooled(place)[1].sha256 == damaged.sha256
    assert not take_inventory(place.database, place.storage, hashes=True).findings

    def accuracies(which: str) -> list[tuple[str, float | None]]:
        with place.database.reading() as session:
            statement = select(Trial).where(Trial.job_id == which, Trial.group != POOL).order_by(Trial.method)
            return [(one.method, one.accuracy) for one in session.scalars(statement)]

    assert accuracies(job_id) == accuracies(undisturbed) != []


def test_two_jobs_that_train_the_same_at_once_keep_one_of_each(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset_id = place.new_dataset()
    slow, quick = new_job(place, dataset_id), new_job(place, dataset_id)
    inside: list[int] = []

    def quick_one_first(repeat: int) -> None:
        if not inside:
            inside.append(repeat)
            run(place, quick)

    while_it_trains(monkeypatch, quick_one_first)
    run(place, slow)
    assert [one.repeat for one in pooled(place)] == [0, 1, 2]
    with place.database.reading() as session:
        assert not orphans(session, place.storage, 0)


def test_they_go_with_the_last_data_set_of_their_images(place: Workplace) -> None:
    dataset_id, same = place.new_dataset(), place.new_dataset()
    job_id = new_job(place, dataset_id)
    run(place, job_id)
    with place.database.writing() as session:
        session.get_one(Job, job_id).state = "cancelled"
    files = [place.path(one.blob_key) for one in pooled(place)]
    for which, left in ((dataset_id, 3), (same, 0)):
        with place.database.writing() as session:
            delete_dataset(session, place.storage, OWNER, which)
        assert len(pooled(place)) == left == sum(file.exists() for file in files)


def test_retention_lets_them_go_once_no_job_needs_them(
    place: Workplace, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = new_job(place, place.new_dataset())
    run(place, job_id)
    settings = place.settings.model_copy(update={"retention_days_trained_networks": 1e-9})
    assert apply(place.database, place.storage, settings) == [], "its job has not ended"
    with place.database.writing() as session:
        session.get_one(Job, job_id).state = "cancelled"
    gone = apply(place.database, place.storage, settings)
    assert [one.kind for one in gone] == ["trained_network"] * 3 and pooled(place) == []
    assert job_of(place.database, job_id).state == "cancelled"


def test_kill_9_in_mid_pool_changes_nothing_that_comes_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In processes of their own, and with the recipe's own pool: five networks, of sixty epochs each."""
    with embedded_workplace(tmp_path, monkeypatch) as place:
        dataset_id = place.new_dataset()
        killed = new_job(place, dataset_id)

        def after_two() -> None:
            wait_for(lambda: len(trained_by(place, killed)) >= 2)
            pid = runner_of(killed)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)

        place.attempt(killed, meanwhile=after_two)
        assert len(trained_by(place, killed)) < 5
        place.attempt(killed)
        assert job_of(place.database, killed).phase == "export"
        assert trained_by(place, killed) == [0, 1, 2, 3, 4], "each once"
        found = [one.sha256 for one in pooled(place)], of_set(place, killed)
        with place.database.writing() as session:
            for one in session.scalars(select(PooledNetwork)):
                session.delete(one)
        undisturbed = new_job(place, dataset_id)
        place.attempt(undisturbed)
        assert ([one.sha256 for one in pooled(place)], of_set(place, undisturbed)) == found


def of_set(place: Workplace, job_id: str) -> list[float | None]:
    """Accuracies of networks that were trained on what came of it."""
    with place.database.reading() as session:
        of_job = (Trial.job_id == job_id, Trial.method.in_(OF_THE_SET))
        return [one.accuracy for one in session.scalars(select(Trial).where(*of_job).order_by(Trial.method))]


def test_its_set_is_published_as_stored_and_decoded_with_what_the_pool_took(place: Workplace) -> None:
    job_id = new_job(place, place.new_dataset())
    run(place, job_id)
    run(place, job_id)  # the export
    assert job_of(place.database, job_id).state == "succeeded"
    with place.database.reading() as session:
        made = session.scalars(select(CondensedSet).where(CondensedSet.job_id == job_id)).one()
        wanted = (Artifact.job_id == job_id, Artifact.format == "manifest")
        manifest = json.loads(
            place.path(session.scalars(select(Artifact).where(*wanted)).one().blob_key).read_bytes()
        )
    assert (made.form, made.stored, made.decoded) == ("collage-2", 2, 8)
    assert manifest["compute"]["pool_flops"] > 0
    assert manifest["collages"]["stored_per_class"] == [2, 2] and manifest["images_per_class"] == [8, 8]
