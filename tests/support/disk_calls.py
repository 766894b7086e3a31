"""The calls that change what is on a disk, seen before they are made."""

import _pyio  # type: ignore[import-not-found]
import io
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from core.storage import partial

See = Callable[[str, Path], None]

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


@contextmanager
def watched(folder: Path, see: See) -> Iterator[None]:
    """Before each call on something below `folder`: `see(name, path)`, whose exception is the call's.

    Of this process, from Python: create, open (to write), write, ftruncate, fsync, mkdir, rename and link.
    """
    lock = threading.Lock()
    root = os.fspath(folder.absolute())

    def note(name: str, path: str) -> None:
        if path == root or path.startswith(f"{root}/"):
            with lock:
                see(name, Path(path))

    def of_path(name: str, call: Callable[..., Any], at: int = 0) -> Callable[..., Any]:
        def noted(*arguments: Any, **named: Any) -> Any:
            note(name, os.fspath(Path(arguments[at]).absolute()))
            return call(*arguments, **named)

        return noted

    def of_descriptor(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def noted(descriptor: int, *arguments: Any) -> Any:
            note(name, os.fspath(Path(f"/proc/self/fd/{descriptor}").readlink()))
            return call(descriptor, *arguments)

        return noted

    really_open = os.open

    def opened(path: Any, flags: int, *arguments: Any, **named: Any) -> int:
        if flags & _WRITES and named.get("dir_fd") is None:
            note("create" if flags & os.O_CREAT else "open", os.fspath(Path(path).absolute()))
        return really_open(path, flags, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        # Python's files, written in Python: what they do is done by the calls of `os`.
        patch.setattr(io, "open", _pyio.open)
        patch.setattr(partial, "FileIO", _pyio.FileIO)
        patch.setattr(os, "open", opened)
        for name in ("write", "ftruncate", "fsync"):
            patch.setattr(os, name, of_descriptor(name, getattr(os, name)))
        patch.setattr(os, "mkdir", of_path("mkdir", os.mkdir))
        # What is new is the second name.
        for name, call in (("rename", os.rename), ("rename", os.replace), ("link", os.link)):
            patch.setattr(os, call.__name__, of_path(name, call, 1))
        yield
