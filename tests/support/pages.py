"""Pages without a browser: what is asked for, and what a reader finds in the answer."""

import re
from html import unescape

import httpx2

PAGE = {"Accept": "text/html,application/xhtml+xml"}

_TAG = re.compile(r"<[^>]*>")


def text_of(page: httpx2.Response | str) -> str:
    """What a page, or a part of one, says; its white space as a browser shows it."""
    html = page if isinstance(page, str) else page.text
    return " ".join(unescape(_TAG.sub(" ", html)).split())


def part_of(page: httpx2.Response, begin: str, end: str) -> str:
    """The first piece of a page from `begin` to `end`, as HTML."""
    found = re.search(f"{re.escape(begin)}.*?{re.escape(end)}", page.text, re.DOTALL)
    assert found, f"no {begin}"
    return found.group()
