"""What a data set cannot give is refused when the job is made, not hours later."""

import pytest

from core.errors import InvalidRequest
from core.kinds.condense.fit import fit
from core.kinds.condense.spec import CondenseSpec
from core.kinds.kind import DataFacts, Inputs


def inputs(test_images: int) -> Inputs:
    data = DataFacts(train_images=2, test_images=test_images, classes=2, image_size=32, channels=3)
    return Inputs(data=data, class_names=("a", "b"), max_ipc=100)


def test_a_set_that_nothing_can_be_tested_on_is_refused() -> None:
    """Two classes of one image each: none could be held out."""
    spec = CondenseSpec(ipc=1)
    with pytest.raises(InvalidRequest, match="no test image") as refused:
        fit(spec, inputs(0))
    assert refused.value.code == "no_test_images"
    assert fit(spec, inputs(1)).iterations == 20_000
