"""How far a job is as a whole: one bar, and one time left, over all phases of any kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.kinds.kind import DataFacts, Kind

#: The bar's length.
TOTAL = 10_000
#: Of a phase that computes nothing, such as the writing of files.
LEAST_SHARE = 0.01


@dataclass(frozen=True, kw_only=True)
class WholeJob:
    """Shares of the whole work, of 1: of the phases before this one, and of this one."""

    before: float
    own: float

    @classmethod
    def of(cls, kind: Kind, spec: Any, data: DataFacts, phase: str) -> "WholeJob":
        """By the arithmetic of the kind's cost."""
        flops: Mapping[str, int] = kind.cost(spec, data).flops_by_phase
        names = [one.name for one in kind.phases_of(spec)]
        total = max(sum(flops.values()), 1)
        shares = {name: max(flops.get(name, 0) / total, LEAST_SHARE) for name in names}
        whole = sum(shares.values())
        before = sum(shares[name] for name in names[: names.index(phase)])
        return cls(before=before / whole, own=shares[phase] / whole)

    @staticmethod
    def ended(progress: Mapping[str, Any]) -> dict[str, Any]:
        """The last progress of a job that has done everything: a phase that takes no time reports none."""
        kept = {name: value for name, value in progress.items() if name != "seconds_left"}
        return {**kept, "done": TOTAL, "total": TOTAL}

    def progress(self, share: float, seconds_left: float | None) -> dict[str, Any]:
        """`done` of `total`, and `seconds_left` of the whole job where it can be judged.

        Args:
            share: of this phase that is done, of 1.
            seconds_left: of this phase.
        """
        done = self.before + self.own * share
        found: dict[str, Any] = {"done": round(TOTAL * done), "total": TOTAL}
        if seconds_left is not None:
            own_left = self.own * (1 - share)
            # At the rate of what is left of this phase; at its very end that says nothing.
            later = 1 - self.before - self.own
            factor = 1 + later / own_left if own_left > LEAST_SHARE * self.own else 1.0
            found["seconds_left"] = seconds_left * factor
        return found
