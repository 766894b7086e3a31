"""What a card says of the set that its accuracies were measured on, and of how."""

from core.kinds.condense.spec import CondenseSpec
from core.trials.protocols import limits, protocol


def test_grave_warnings_of_the_data_set_stand_beside_its_accuracies() -> None:
    warnings = [
        {"code": "test_leakage", "detail": "2 of 7 test images are in the training split"},
        {"code": "cropped", "detail": "3 images are not square"},
    ]
    plan = CondenseSpec(ipc=1).resolved(32, 40, 2).trial_plan()
    found = limits(plan, 7, "15% of each class held out", warnings)
    assert "Test images: 7 (15% of each class held out)" in found[0]
    assert found[1] == "2 of 7 test images are in the training split."
    assert not any("square" in limit for limit in found)


def test_the_protocol_is_the_one_that_networks_were_trained_by() -> None:
    evaluation = {"epochs": 300, "whole_epochs": 7, "baselines": ["random", "herding", "whole"]}
    asked = {"ipc": 1, "augment": "crop_flip", "evaluation": evaluation}
    said = protocol(CondenseSpec.model_validate(asked).resolved(32, 5000, 10).trial_plan())
    assert "for 300 epochs by SGD (lr 0.01, from epoch 151 on a tenth of it; momentum 0.9" in said
    assert "batch 256, DSA (crop, flip) on every batch, in float32" in said
    assert "random is one draw for all networks" in said
    assert (
        "features of one convnet-d3-w128-instance, trained on the whole training split for 7 epochs" in said
    )
    assert "whole is trained for 7 epochs" in said
    bare = asked | {"augment": "none", "evaluation": {"baselines": []}}
    said = protocol(CondenseSpec.model_validate(bare).resolved(32, 5000, 10).trial_plan())
    assert "no augmentation" in said and "DSA" not in said
    assert not any(method in said for method in ("random", "herding", "whole"))
