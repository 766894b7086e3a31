"""The compiled half of the CPU's ConvNet blocks: built by the machine's own C compiler, if it has one."""

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

import torch

SOURCE = Path(__file__).with_name("convblock.c")
FLAGS = ("-O3", "-shared", "-fPIC")
NATIVE = ("-march=native", "-mcpu=native")
"""Names of "for this very processor": gcc's and clang's, and that of clang on other processors than x86."""


class Block(ctypes.Structure):
    """`struct block` of convblock.c."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("count", "h", "w", "c", "k")),
        ("eps", ctypes.c_float),
        *(
            (name, ctypes.c_void_p)
            for name in (
                "weight", "gamma", "beta", "x", "out", "kept", "inverse",
                "dout", "dx", "dweight", "dgamma", "dbeta", "scratch",
            )
        ),
    )  # fmt: skip


@functools.cache
def library() -> ctypes.CDLL | None:
    """The library; None where no compiler makes it.

    Built anew in each process, in a second or so, so that no stale or foreign file is ever loaded.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory(prefix="condensery-") as directory:
        target = Path(directory) / "convblock.so"
        for native in NATIVE:
            command = [compiler, *FLAGS, native, "-o", str(target), str(SOURCE), "-lm"]
            built = subprocess.run(command, capture_output=True, check=False)  # noqa: S603 (the machine's cc)
            if built.returncode == 0:
                break
        else:
            return None
        try:
            loaded = ctypes.CDLL(str(target))
        except OSError:
            return None
    for name in ("image_forward", "image_backward", "block_forward", "block_backward"):
        function = getattr(loaded, name)
        function.argtypes = (ctypes.POINTER(Block),)
        function.restype = None
    loaded.scratch_size.argtypes = (ctypes.c_int64,) * 4
    loaded.scratch_size.restype = ctypes.c_int64
    return loaded


@functools.cache
def slice_width() -> int:
    """Widths of ConvNet that the library can do are multiples of this; 0 if there is no library."""
    loaded = library()
    return 0 if loaded is None else int(loaded.slice_width())


def convnet_blocks(device: torch.device) -> str:
    """Who computes ConvNet's usual blocks on the device: results of the two differ by rounding.

    "compiled" ones need a width that is a multiple of `slice_width`; others are torch's even so.
    """
    return "compiled" if device.type == "cpu" and library() is not None else "torch"
