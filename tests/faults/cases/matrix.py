"""A case of the fault matrix, and the list of them all."""

from collections.abc import Callable
from dataclasses import dataclass

from tests.faults.place import Place

EMBEDDED, PRODUCTION = "embedded", "production"
BOTH = (EMBEDDED, PRODUCTION)


@dataclass(frozen=True, kw_only=True)
class Case:
    number: str
    name: str
    kinds: tuple[str, ...]
    run: Callable[[Place], None]
    quick: bool
    others: int

    def do(self, place: Place) -> None:
        """Run it, with so many other workers beside the service's own."""
        place.crew.muster(self.others)
        try:
            self.run(place)
        finally:
            place.crew.thaw()


CASES: list[Case] = []


def case(
    number: str, *, kinds: tuple[str, ...] = BOTH, quick: bool = False, others: int = 0
) -> Callable[[Callable[[Place], None]], Callable[[Place], None]]:
    """Enter a function into the matrix. `quick` ones are run in CI."""

    def enter(run: Callable[[Place], None]) -> Callable[[Place], None]:
        add(number, run.__name__.replace("_", " "), run, kinds=kinds, quick=quick, others=others)
        return run

    return enter


def add(
    number: str,
    name: str,
    run: Callable[[Place], None],
    *,
    kinds: tuple[str, ...] = BOTH,
    quick: bool = False,
    others: int = 0,
) -> None:
    CASES.append(Case(number=number, name=name, kinds=kinds, run=run, quick=quick, others=others))
