"""torch files, opened so that nothing in them can run: tensors, numbers and text, and the name of all else.

Two locks. The pickle's instructions are listed by pickletools, which runs none of them, and every name in
them must be in `NAMES`. Then torch's own reader of weights (`weights_only=True`) reads the file. numpy's
scalars, which the official `res_*.pt` hold as accuracies, are allowed by name and stood in for by an object
that keeps nothing: of numpy, too, nothing is called.
"""

import itertools
import pickletools
from pathlib import Path
from typing import IO, Any, BinaryIO

import torch

from core.condensed.published.layouts import DECODERS, LIST
from core.condensed.published.limits import PublishedLimits
from core.data.containers.archive import Archive
from core.data.limits import check_limit
from core.errors import DataError

LEGACY_MAGIC = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"
"""How files of torch before 1.6 begin: a pickle of a number."""

LEGACY_PICKLES = 5
"""The number, the protocol, the machine, the content, the keys of its storages; then the numbers, bare."""

NUMPY_SCALARS = (
    "numpy.core.multiarray.scalar",  # numpy 1
    "numpy._core.multiarray.scalar",
    "numpy.dtype",
)
_STORAGES = [
    f"{kind}Storage"
    for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")
]
NAMES = frozenset((
    *NUMPY_SCALARS,
    *(f"{module}.{storage}" for module in ("torch", "torch.cuda") for storage in _STORAGES),
    "_codecs.encode",
    "collections.OrderedDict",
    "torch._utils._rebuild_parameter",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch.Size",
    "torch.device",
))  # fmt: skip
SPARSE = ("torch._utils._rebuild_sparse_tensor", "torch.serialization._get_layout")


class _Nothing:
    """Stands where the pickle wants a numpy scalar or its dtype."""

    def __init__(self, *_args: object) -> None:
        pass

    def __setstate__(self, _state: object) -> None:
        pass


def load(path: Path, limits: PublishedLimits) -> Any:
    """The content of a file that torch saved, on the CPU. Not for use in threads: torch's list of names is
    the process's.

    Raises:
        DataError: `unsafe_pickle` names what would have been imported; `layout_not_read`, sparse tensors;
            `corrupt_torch_file`; `limit_exceeded`.
    """
    with path.open("rb") as file:
        if file.read(len(LEGACY_MAGIC)) == LEGACY_MAGIC:
            file.seek(0)
            for _ in range(LEGACY_PICKLES):
                check_names(file, limits)
    stand_ins: list[Any] = [(_Nothing, name) for name in NUMPY_SCALARS]
    try:
        with torch.serialization.safe_globals(stand_ins):
            return torch.load(path, map_location="cpu", weights_only=True)
    except MemoryError:
        raise
    except Exception as error:  # hostile bytes are answered with almost any exception
        raise _corrupt(type(error).__name__) from error


def check_structure(archive: Archive, limits: PublishedLimits) -> None:
    """The same for a zip, whose pickle is the member data.pkl; call it before `load`."""
    (member,) = [one for one in archive.members if one.base_name == "data.pkl"]
    check_limit("pickle_bytes", member.size, limits.pickle_bytes, member.name)
    with archive.open(member) as file:
        check_names(file, limits)


def check_names(file: BinaryIO | IO[bytes], limits: PublishedLimits) -> None:
    """Go through one pickle's instructions, and hold every name against the list.

    Raises:
        DataError: as `load`.
    """
    counter = itertools.count(1)
    start = file.tell()
    try:
        for operation, argument, position in pickletools.genops(file):
            check_limit("pickle_operations", next(counter), limits.pickle_operations)
            check_limit("pickle_bytes", (position or 0) - start, limits.pickle_bytes)
            if operation.name in ("GLOBAL", "INST"):
                _check_name(str(argument).replace(" ", "."))
            elif operation.name == "STACK_GLOBAL":
                raise _unsafe("a name that is put together while it is read")
    except DataError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # as above
        raise _corrupt(type(error).__name__) from error


def _check_name(name: str) -> None:
    if name in SPARSE:
        raise DataError(
            f"the file holds sparse tensors, as {DECODERS.made_by} save {DECODERS.name}: {DECODERS.refusal}",
            code="layout_not_read",
            layout=DECODERS.letter,
        )
    if name not in NAMES:
        raise _unsafe(name[:200])


def _unsafe(name: str) -> DataError:
    return DataError(
        f"the file would import {name!r}, so it is not loaded: only tensors, numbers and text are. Save"
        " images and"
        f' labels alone, as {LIST.made_by.partition(",")[0]} does: torch.save([images, labels], "data.pt")',
        code="unsafe_pickle",
        name=name,
    )


def _corrupt(how: str) -> DataError:
    return DataError(
        f"torch cannot read the file ({how}): it is cut short, or no file that torch.save wrote",
        code="corrupt_torch_file",
    )
