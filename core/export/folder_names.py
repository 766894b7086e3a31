"""Class names as names of folders: readable in any script, and taken by every file system."""

import unicodedata

REFUSED = frozenset('/\\:*?"<>|')
"""By Windows, or by every system."""

NAME_BYTES = 255
"""Where Linux, macOS and Windows end a name (UTF-8 on the first two; it is no more UTF-16 on the third)."""


def folder_name(index: int, class_name: str, classes: int) -> str:
    """`<index>_<name>`: names of one set differ, sort by index, and are none that Windows reserves.

    The name is in NFC; percent-encoded (UTF-8) are the characters that file systems refuse, controls, line
    separators, dots and spaces at either end, and % itself. It is cut at 255 bytes.

    Args:
        classes: in the whole set, for the width of the index.
    """
    prefix = f"{index:0{len(str(classes - 1))}d}_"
    text = unicodedata.normalize("NFC", class_name)
    inner = range(len(text) - len(text.lstrip(". ")), len(text.rstrip(". ")))
    left = NAME_BYTES - len(prefix)
    kept = []
    for position, character in enumerate(text):
        # Whole characters and whole escapes: half of one would decode to another.
        part = character if position in inner and _plain(character) else _escaped(character)
        left -= len(part.encode())
        if left < 0:
            break
        kept.append(part)
    # A cut may leave a dot or a space at the end.
    return prefix + "".join(kept).rstrip(". ")


def _plain(character: str) -> bool:
    controls = ("Cc", "Zl", "Zp")
    return character not in REFUSED and character != "%" and unicodedata.category(character) not in controls


def _escaped(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode())
