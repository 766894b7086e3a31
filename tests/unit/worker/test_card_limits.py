"""What a card says of the set that its accuracies were measured on, and of how."""

from core.data.canonical import Manifest, SplitSummary
from core.jobs.spec import JobSpec
from worker.exporting import _limits, _protocol


def test_grave_warnings_of_the_data_set_stand_beside_its_accuracies() -> None:
    manifest = Manifest(
        classes=("a", "b"),
        image_size=32,
        channels=1,
        splits={
            "train": SplitSummary(count=40, per_class=(20, 20)),
            "test": SplitSummary(count=7, per_class=(3, 4)),
        },
        mean=(0.5,),
        std=(0.2,),
        content_hash="0" * 64,
        source_format="imagefolder",
        split_rule="15% of each class held out",
        resize={},
        report={
            "warnings": [
                {"code": "test_leakage", "detail": "2 of 7 test images are in the training split"},
                {"code": "cropped", "detail": "3 images are not square"},
            ]
        },
    )
    limits = _limits(JobSpec(ipc=1), manifest)
    assert "Test images: 7 (15% of each class held out)" in limits[0]
    assert limits[1] == "2 of 7 test images are in the training split."
    assert not any("square" in limit for limit in limits)


def test_the_protocol_is_the_one_that_networks_were_trained_by() -> None:
    evaluation = {"epochs": 300, "whole_epochs": 7, "baselines": ["random", "herding", "whole"]}
    asked = {"ipc": 1, "augment": "crop_flip", "evaluation": evaluation}
    said = _protocol(JobSpec.model_validate(asked).resolved(32, 5000, 10))
    assert "for 300 epochs by SGD (lr 0.01, from epoch 151 on a tenth of it; momentum 0.9" in said
    assert "batch 256, DSA (crop, flip) on every batch, in float32" in said
    assert "random is one draw for all networks" in said
    assert (
        "features of one convnet-d3-w128-instance, trained on the whole training split for 7 epochs" in said
    )
    assert "whole is trained for 7 epochs" in said
    bare = asked | {"augment": "none", "evaluation": {"baselines": []}}
    said = _protocol(JobSpec.model_validate(bare).resolved(32, 5000, 10))
    assert "no augmentation" in said and "DSA" not in said
    assert not any(method in said for method in ("random", "herding", "whole"))
