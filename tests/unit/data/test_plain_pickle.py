"""The pickles of CIFAR archives: what is refused costs no more than the stream that says it."""

import tracemalloc

import pytest

from core.data.formats.plain_pickle import load_plain
from core.data.limits import Limits
from core.errors import DataError

DEPTH = 20
#: Tuples of one another twice: 100 bytes of pickle, of which a text would have over 4 MB.
DOUBLED = b")" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(DEPTH))
#: Less than the text, and more than what reading a few hundred bytes takes.
MOST_BYTES = 512 * 1024


@pytest.mark.parametrize(
    "stream",
    [
        pytest.param(b"cnumpy\ndtype\n" + DOUBLED + b"\x85R", id="dtype"),
        pytest.param(b"cnumpy\ndtype\nU\2u1\x85R(K\3" + DOUBLED + b"NNNJ\0\0\0\0J\0\0\0\0K\0tb", id="order"),
        pytest.param(DOUBLED + b"U\1x\x93", id="module"),
        pytest.param(b"X\5\0\0\0numpy" + DOUBLED + b"\x93", id="name"),
        pytest.param(b"c_codecs\nencode\nX\1\0\0\0x" + DOUBLED + b"\x86R", id="encoding"),
        pytest.param(b"c_codecs\nencode\n" + DOUBLED + b"U\6latin1\x86R", id="encoded"),
        pytest.param(b"}" + DOUBLED + b"Ns", id="key"),
        pytest.param(b"}" + DOUBLED + b"b", id="state"),
        pytest.param(DOUBLED + b")R", id="called"),
    ],
)  # fmt: skip
def test_shared_tuples_are_never_written_out(stream: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            load_plain(b"\x80\x02" + stream + b".", limits=Limits(), member="data_batch_1")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.code in ("unsafe_pickle", "corrupt_pickle")
    assert len(caught.value.detail) < 200
    assert peak < MOST_BYTES


def test_a_stray_backslash_in_an_instruction_is_no_warning() -> None:
    with pytest.raises(DataError, match="the instruction STRING"):
        load_plain(b"\x80\x02S'\\c'\n.", limits=Limits(), member="data_batch_1")
