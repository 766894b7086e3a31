"""Which paths on the server's disk may be read as data sets.

The API asks it before it takes a request, the worker again when it reads; so nothing here needs numpy.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from core.errors import InvalidRequest

POINTER = "/path"


def resolve_import(path: str, import_dirs: Iterable[Path]) -> Path:
    """The file or folder that `path` leads to, without links.

    What lies outside of the import directories is refused in the same words whether it exists or not.

    Args:
        path: absolute.
        import_dirs: absolute; those that do not exist hold nothing.

    Raises:
        InvalidRequest: `import_disabled` without import directories, `path_not_allowed` outside of them,
            `path_not_found`, `path_not_readable` or `path_not_supported` (neither file nor folder) inside.
    """
    roots = [directory.resolve() for directory in import_dirs]
    if not roots:
        raise _refused(
            "no directory of the server may be imported from: see its setting import_dirs", "import_disabled"
        )
    if not path.startswith("/") or ".." in path.split("/") or not _is_text(path):
        raise _refused("path must be absolute, without '..' and control characters", "path_not_allowed")
    # Not strict yet: the errors of that would tell what exists where nothing may be read.
    resolved = Path(os.path.realpath(path))
    if not any(resolved.is_relative_to(root) for root in roots):
        raise _refused(
            f"{path!r} is not in, or leads by a link out of, the directories that may be imported from "
            "(the server's setting import_dirs)",
            "path_not_allowed",
        )
    try:
        mode = resolved.resolve(strict=True).stat().st_mode
    except PermissionError as error:
        raise _refused(f"{path!r} may not be read by the server", "path_not_readable") from error
    except (OSError, RuntimeError) as error:
        raise _refused(f"there is nothing at {path!r}", "path_not_found") from error
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise _refused(f"{path!r} is neither a file nor a folder", "path_not_supported")
    if not os.access(resolved, os.R_OK | (os.X_OK if stat.S_ISDIR(mode) else 0)):
        raise _refused(f"{path!r} may not be read by the server", "path_not_readable")
    return resolved


def _is_text(path: str) -> bool:
    try:
        return all(byte >= 32 and byte != 127 for byte in path.encode("utf-8"))
    except UnicodeEncodeError:
        return False


def _refused(detail: str, code: str) -> InvalidRequest:
    return InvalidRequest(detail, code=code, pointer=POINTER)
