"""CIFAR archives whose pickles would call something, grow without end, or are no batches."""

import io
import os
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np

from core.data.limits import MIB, Limits
from tests.data.case import CANARY, Case, case
from tests.data.pack import tar_of, zip_of
from tests.data.raw_zip import DEFLATED, Entry, deflate, raw_zip
from tests.unit.data.builders import cifar_files, pixels

FOLDER = "cifar-10-batches-py"
CALL = f"touch {CANARY}"
EVAL = f"open({CANARY!r}, 'w')"


class Calls:
    """Unpickling it makes the canary."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (CALL,)


class _Evaluates:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, (EVAL,)


def batch(content: bytes, member: str = "data_batch_2") -> bytes:
    """A CIFAR archive with this pickle as one of its members."""
    return tar_of({**cifar_files(pixels(12, 32)), f"{FOLDER}/{member}": content})


def _in_batch(make: Callable[[], bytes], member: str = "data_batch_2") -> Callable[[], bytes]:
    return lambda: batch(make(), member)


def _reduced(path: str, argument: str) -> bytes:
    """Protocol 0 as by hand: the name, one text, a call."""
    module, name = path.split(":")
    return b"\x80\x02" + f"c{module}\n{name}\n".encode() + _text(argument) + b"\x85R."


def _text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def _encode_bomb() -> bytes:
    """A text of 1 MiB, once, encoded four thousand times into a list: 4 GiB."""
    once = b"h\0h\1h\2\x86R"
    return (
        b"\x80\x02c_codecs\nencode\nq\0"
        + _text("x" * MIB)
        + b"q\1"
        + _text("latin1")
        + b"q\2]("
        + once * 4000
        + b"e."
    )


def _colliding_keys() -> bytes:
    """A dict of 20,000 whole numbers of the same hash: 200 million comparisons."""
    keys = (i * (2**61 - 1) for i in range(1, 20_001))
    items = b"".join(b"\x8a\x0c" + key.to_bytes(12, "little", signed=True) + b"N" for key in keys)
    return b"\x80\x02}(" + items + b"u."


def _array_with_shape(shape: tuple[int, ...]) -> bytes:
    """A batch whose array declares a shape that its bytes do not have."""
    good = pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": [0]}, 2)
    position = good.index(b"K\1M\x00\x0c\x86")
    sides = b"".join(b"\x8a\x08" + side.to_bytes(8, "little", signed=True) for side in shape)
    return good[:position] + sides + b"\x86" + good[position + 6 :]


def _data(value: object) -> bytes:
    return pickle.dumps({b"data": value, b"labels": [0, 1]}, 2)


def _large_declared(size: int) -> bytes:
    content = pickle.dumps({b"data": [], b"labels": []}, 2)
    return raw_zip([Entry(name=b"data_batch_1", stored=deflate(content), method=DEFLATED, size=size)])


def _persistent() -> bytes:
    class Persistent(pickle.Pickler):
        def persistent_id(self, value: Any) -> str | None:
            return CALL if isinstance(value, set) else None

    buffer = io.BytesIO()
    Persistent(buffer, 2).dump({b"data": set()})
    return buffer.getvalue()


#: Behind a tuple: it, twice, in a tuple, and that again, 200 times.
DOUBLED = b"".join(b"q%ch%c\x86" % (i, i) for i in range(200))
UNSAFE, BAD = "unsafe_pickle", "corrupt_pickle"
MEMBER = f"{FOLDER}/data_batch_2"
CALLING: tuple[tuple[str, str, bytes], ...] = (
    *((f"system-{p}", f"os.system by protocol {p}", pickle.dumps({b"data": Calls()}, p)) for p in (0, 2, 3, 4, 5)),
    *((f"eval-{p}", f"builtins.eval by protocol {p}", pickle.dumps({b"data": _Evaluates()}, p)) for p in (2, 4)),
    ("exec", "exec by hand", _reduced("builtins:exec", EVAL)),
    ("popen", "subprocess.Popen by hand", _reduced("subprocess:Popen", CALL)),
    ("getattr", "getattr by hand", _reduced("builtins:getattr", "system")),
    ("numpy-load", "numpy's own load", _reduced("numpy:load", CANARY)),
    ("torch-load", "torch's loader of bytes", _reduced("torch.storage:_load_from_bytes", CALL)),
    ("dotted", "a dotted name under an allowed module", _reduced("numpy:ndarray.tofile", CANARY)),
    ("ndarray-called", "a call of an allowed name that is not to be called", _reduced("numpy:ndarray", CANARY)),
    ("codec", "an encoding other than latin-1", b"\x80\x02c_codecs\nencode\n" + _text("x") + _text("rot13") + b"\x86R."),
    ("inst", "the instruction INST", b"(" + _text(CALL) + b"ios\nsystem\n."),
    ("obj", "the instruction OBJ", b"\x80\x02(cos\nsystem\n" + _text(CALL) + b"o."),
    ("newobj", "the instruction NEWOBJ", b"\x80\x02cos\nsystem\n" + _text(CALL) + b"\x85\x81."),
    ("extension", "an extension code", b"\x80\x02\x82\x01" + _text(CALL) + b"\x85R."),
    ("persistent", "a persistent id", _persistent()),
    ("laughs", "tuples of tuples, doubled 200 times", b"\x80\x02)" + DOUBLED + b"."),
    ("laughs-key", "a dict with such a tuple for a key", b"\x80\x02})" + DOUBLED + b"Ns."),
    ("name-state", "a state for a name", b"\x80\x02c_codecs\nencode\nN}\x86b."),
    ("objects", "an array of objects", _data(np.array([{}], object))),
    ("floats", "an array of floats", _data(np.zeros((2, 3072)))),
    ("int-keys", "20,000 dict keys of one hash", _colliding_keys()),
    ("set", "a set", pickle.dumps({b"data": {1}}, 4)),
    ("buffer", "a buffer outside the stream", b"\x80\x05\x97."),
)  # fmt: skip
BROKEN: tuple[tuple[str, str, bytes], ...] = (
    ("cut", "a pickle cut short", pickle.dumps({b"data": np.zeros((2, 3072), np.uint8)}, 2)[:3000]),
    ("length", "a text of 4 GiB in five bytes", b"\x80\x02}(X\xff\xff\xff\xffab."),
    ("length-64", "bytes of 2**64 - 1 in ten", b"\x80\x04}(\x8e" + b"\xff" * 8 + b"."),
    ("memo", "a memo entry that was never made", b"\x80\x02j\xff\xff\xff\xff."),
    ("memo-of-nothing", "a memo entry of an empty stack", b"\x80\x02r\xff\xff\xff\xff."),
    ("marks", "100,000 marks and nothing else", b"\x80\x02" + b"(" * 100_000 + b"."),
    ("deep", "lists within lists, 100,000 deep", b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b"."),
    ("loop", "a list that holds itself", b"\x80\x02]q\0h\0a."),
    ("chain", "a call of what a call returned", b"\x80\x02cnumpy\ndtype\n" + _text("u1") + b"\x85R" + _text("x") + b"\x85R."),
    ("build", "a state for something that has none", b"\x80\x02}}b."),
    ("memo-far", "a memo entry for which Python would make room for 2**28", b"\x80\x02}r\0\0\0\x10."),
    ("no-dict", "a list for a batch", pickle.dumps([1, 2], 2)),
    ("no-data", "a batch without data", pickle.dumps({b"labels": [0, 1]}, 2)),
    ("no-labels", "a batch without labels", pickle.dumps({b"data": np.zeros((2, 3072), np.uint8)}, 2)),
    ("text-labels", "labels that are text", pickle.dumps({b"data": np.zeros((1, 3072), np.uint8), b"labels": ["a"]}, 2)),
    ("shape", "images of 1,000 bytes", _data(np.zeros((2, 1000), np.uint8))),
    ("shape-lie", "an array of 2**40 rows", _array_with_shape((2**40, 3072))),
    ("shape-negative", "an array of -1 rows", _array_with_shape((-1, -3072))),
    ("garbage", "a pickle's first byte and text", b"\x80\x02}(" + b"hello" * 40),
    ("empty", "an empty batch", b""),
)  # fmt: skip

CASES: tuple[Case, ...] = (
    *(case(f"pickle-{name}", about, _in_batch(lambda data=data: data), UNSAFE, member=MEMBER)  # type: ignore[misc]
      for name, about, data in CALLING),
    *(case(f"pickle-{name}", about, _in_batch(lambda data=data: data), BAD, member=MEMBER)  # type: ignore[misc]
      for name, about, data in BROKEN),
    case("pickle-system-in-meta", "os.system in the class names",
         _in_batch(lambda: pickle.dumps({b"label_names": Calls()}, 2), "batches.meta"), UNSAFE,
         member=f"{FOLDER}/batches.meta"),
    case("pickle-system-in-test", "os.system in the test batch",
         _in_batch(lambda: pickle.dumps(Calls(), 4), "test_batch"), UNSAFE, member=f"{FOLDER}/test_batch"),
    case("pickle-encode-bomb", "one text encoded 4,000 times, to 4 GiB", _in_batch(_encode_bomb), "limit_exceeded",
         limit_name="encoded bytes of a pickle", member=MEMBER),
    case("pickle-operations", "a pickle of too many instructions",
         _in_batch(lambda: b"\x80\x02" + b"N" * 200_000 + b"."), "limit_exceeded",
         limits=Limits(pickle_operations=100_000), limit_name="pickle_operations", member=MEMBER),
    case("pickle-bytes", "a pickle that declares 513 MiB", lambda: _large_declared(513 * MIB), "limit_exceeded",
         limit_name="pickle_bytes", member="data_batch_1", limit=512 * MIB),
    case("pickle-label-count", "more labels than images",
         _in_batch(lambda: pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 1, 1]}, 2)),
         "label_mismatch", member=MEMBER),
    case("pickle-label-range", "a label that has no name",
         _in_batch(lambda: pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 7]}, 2)),
         "label_mismatch"),
    case("pickle-names-twice", "a class name twice",
         _in_batch(lambda: pickle.dumps({b"label_names": [b"frog", b"frog"]}, 2), "batches.meta"),
         "label_mismatch"),
    case("pickle-names-nul", "a class name with a NUL",
         _in_batch(lambda: pickle.dumps({b"label_names": [b"frog", b"sh\0ip"]}, 2), "batches.meta"),
         "unsafe_class_name", member=f"{FOLDER}/batches.meta"),
    case("pickle-test-only", "a test batch and no other",
         lambda: zip_of({"test_batch": cifar_files(pixels(12, 32))[f"{FOLDER}/test_batch"]}),
         "no_training_split", found="test"),
)  # fmt: skip
