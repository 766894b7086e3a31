"""What networks are trained on, by name: a line a method. Imports nothing that is heavy.

Each is a file beside this one, with one function:

- a form of the condensed set: `make(images_NCHW, labels_N, real)` gives images NCHW, normalised as `real` is
- a selection of real images: `select(real, ipc, seed, embed, device)` gives indices into `real`, class-major
- collages of real images: `select` as well, of f² · ipc images a class
- the whole training split needs none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final, Literal

Of = Literal["set", "selection", "collages", "whole"]


@dataclass(frozen=True, kw_only=True)
class Method:
    """label: as people call it. by_features: whether it looks at the features of a network that is trained
    for that, on the whole split. usual: whether it is suggested to who chooses baselines."""

    label: str
    of: Of
    module: str
    by_features: bool = False
    usual: bool = False

    def function(self) -> Any:
        return getattr(import_module(self.module), "select" if self.selects else "make")

    @property
    def selects(self) -> bool:
        """Whether it chooses real images."""
        return self.of in ("selection", "collages")


def _method(label: str, of: Of, file: str, **more: bool) -> Method:
    return Method(label=label, of=of, module=f"{__name__}.{file}", **more)


#: In the order of tables.
METHODS: Final[Mapping[str, Method]] = {
    "condensed": _method("condensed", "set", "condensed"),
    "png": _method("condensed, as PNG", "set", "png"),
    "random": _method("random images", "selection", "random", usual=True),
    "random-collage": _method("random collages", "collages", "random", usual=True),
    "herding": _method("herding", "selection", "herding", by_features=True, usual=True),
    "k-center": _method("k-center", "selection", "k_center", by_features=True),
    "whole": _method("the whole set", "whole", "whole", usual=True),
}
OF_THE_SET: Final = tuple(name for name, one in METHODS.items() if one.of == "set")
#: What a condensed set can be compared with.
BASELINES: Final = tuple(name for name in METHODS if name not in OF_THE_SET)
USUAL_BASELINES: Final = tuple(name for name in BASELINES if METHODS[name].usual)
