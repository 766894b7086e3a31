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
    evaluation = {
        "epochs": 300,
        "whole_epochs": 7,
        "protocol": "paper",
        "baselines": ["random", "herding", "whole"],
    }
    asked = {"ipc": 1, "augment": "crop_flip", "evaluation": evaluation}
    said = protocol(CondenseSpec.model_validate(asked).resolved(32, 5000, 10).trial_plan(), 10)
    assert (
        "Protocol paper, on the set: 300 epochs, 300 steps, by SGD (lr 0.01, from epoch 151 on a tenth of "
        "it; momentum 0.9"
    ) in said
    assert "batch 256; each batch augmented by one of DSA's operations (crop, flip)." in said
    assert "random is one draw for all networks" in said
    assert (
        "features of one convnet-d3-w128-instance, trained on the whole training split for 7 epochs" in said
    )
    assert "whole is trained for 7 epochs" in said
    bare = asked | {"augment": "none", "evaluation": {"baselines": []}}
    said = protocol(CondenseSpec.model_validate(bare).resolved(32, 5000, 10).trial_plan(), 10)
    assert "no augmentation" in said and "DSA" not in said and "all of" not in said
    assert not any(method in said for method in ("random", "herding", "whole"))


def test_every_protocol_in_use_is_named_with_its_steps_and_collages_are_counted_both_ways() -> None:
    asked = {
        "ipc": 10, "form": "collage-2",
        "evaluation": {"cross_architecture": [{"name": "resnet18", "norm": "batch"}, {"name": "vgg11"}]},
    }  # fmt: skip
    said = protocol(CondenseSpec.model_validate(asked).resolved(32, 5000, 10).trial_plan(), 10)
    assert (
        "Protocol long, on the set: 715 epochs, 5,005 steps, by SGD (lr 0.01, from epoch 477 on 0.2" in said
    )
    assert "Protocol adamw, on the set: 429 epochs, 3,003 steps, by AdamW (lr 0.001, risen to" in said
    assert said.count("Protocol ") == 2 and "CutMix with probability 0.5" in said
    assert said.count("each batch augmented by all of color, crop, flip.") == 2
    assert "A class's 10 stored images are trained on as 40; of real images there are 10 a class." in said
    assert "random-collage is 10 collages a class of 2 × 2 random real images, trained on as 40." in said
