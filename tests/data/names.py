"""Names that an archive's reader must not follow, in each container."""

from tests.data.case import Case, case
from tests.data.pack import tar_of, zip_of
from tests.unit.data.builders import encode, folder, pixels

NAMES = (
    ("parent", "../cat/x.png"),
    ("absolute", "/cat/x.png"),
    ("parent-inside", "cat/../../x.png"),
    ("backslash", "cat\\..\\x.png"),
    ("drive", "C:/cat/x.png"),
    ("control", "cat/\nx.png"),
    ("escape", "cat/\x1b[2Jx.png"),
)

CASES: tuple[Case, ...] = tuple(
    case(
        f"{container}-slip-{kind}",
        f"a member of a {container} named {name!r}",
        lambda pack=pack, name=name: pack({**folder(), name: encode(pixels(1)[0])}),  # type: ignore[misc]
        "unsafe_member_name",
        member=name,
    )
    for container, pack in (("zip", zip_of), ("tar", tar_of))
    for kind, name in NAMES
)
