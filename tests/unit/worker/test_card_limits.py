"""What a card says of the set that its accuracies were measured on."""

from core.data.canonical import Manifest, SplitSummary
from core.jobs.spec import JobSpec
from worker.exporting import _limits


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
