"""What a data set cannot give is refused when the job is made, not hours later."""

import pytest

from core.errors import InvalidRequest
from core.jobs.spec import JobSpec
from core.jobs.submission import fitted_spec


def manifest(test: list[int]) -> dict[str, object]:
    counts = {"train": [1, 1], "test": test}
    return {
        "image_size": 32,
        "splits": {name: {"count": sum(each), "per_class": each} for name, each in counts.items()},
    }


def test_a_set_that_nothing_can_be_tested_on_is_refused() -> None:
    """Two classes of one image each: none could be held out."""
    spec = JobSpec(ipc=1)
    with pytest.raises(InvalidRequest, match="no test image") as refused:
        fitted_spec(spec, manifest([0, 0]), 100)
    assert refused.value.code == "no_test_images"
    assert fitted_spec(spec, manifest([1, 0]), 100).iterations == 20_000
