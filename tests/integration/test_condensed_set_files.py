"""Files of condensed sets: of a row, of an attempt, or of nothing."""

from core.catalogue.orphans import orphans
from core.db.models import CondensedSet
from core.db.session import Database
from core.inventory import take_inventory
from core.storage.local import LocalStorage
from core.work.files import condensed_set_prefix
from tests.support.leased import take
from tests.support.sets import add_reading, add_set


def put(storage: LocalStorage, key: str) -> str:
    with storage.receive() as receiver:
        receiver.write(b"x")
        receiver.store(key)
    return key


def test_files_of_condensed_sets_belong_to_them_or_to_nothing(
    database: Database, storage: LocalStorage
) -> None:
    made, reading = add_set(database, storage), add_reading(database)
    lease = take(database, reading, CondensedSet)
    mine = {
        *storage.keys(f"condensed/{made}"),
        put(storage, condensed_set_prefix(reading, lease.fence) + "/x"),
    }
    lost = {
        put(storage, condensed_set_prefix(made, 7) + "/lost"),
        put(storage, condensed_set_prefix(reading, lease.fence - 1) + "/lost"),
        put(storage, condensed_set_prefix("cs_gone", 1) + "/lost"),
    }
    with database.reading() as session:
        assert set(orphans(session, storage, 0)) == lost
    assert mine <= set(storage.keys())
    found = take_inventory(database, storage, hashes=True).findings
    storage.delete(next(key for key in mine if key.endswith("safetensors")))
    faults = {one.fault for one in take_inventory(database, storage, hashes=False).findings} - {
        one.fault for one in found
    }
    assert faults == {"missing"}
