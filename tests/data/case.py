"""A hostile or broken upload, and the answer that it must get."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from core.data.limits import Limits

AS_DELIVERED = Limits()
#: A file of this name in the working directory means that something in a pickle ran.
CANARY = "canary-sang"


@dataclass(frozen=True, kw_only=True)
class Case:
    """`name` is a file name without a suffix.

    Attributes:
        about: one line on what is wrong with it.
        make: builds its bytes, the same each time.
        code: of the refusal.
        context: facts that the refusal must state, such as member or limit_name.
        limits: those that it is meant for; most cases trip the ones that the service starts with.
    """

    name: str
    about: str
    make: Callable[[], bytes]
    code: str
    context: dict[str, Any]
    limits: Limits


def case(
    name: str,
    about: str,
    make: Callable[[], bytes],
    code: str,
    *,
    limits: Limits = AS_DELIVERED,
    **context: Any,
) -> Case:
    """A case; further keywords are the context."""
    return Case(name=name, about=about, make=make, code=code, context=context, limits=limits)
