"""Whole archives of whole images that are no set to train on."""

from tests.data.case import Case, case
from tests.data.pack import zip_of
from tests.unit.data.builders import encode, folder, pixels

PNG = encode(pixels(1)[0])


def _text_in_folders() -> bytes:
    return zip_of({f"{name}/{i}.txt": b"no image" for name in ("cat", "dog") for i in range(3)})


CASES: tuple[Case, ...] = (
    case("set-one-class", "images of one class only", lambda: zip_of(folder(("cat",))), "too_few_classes",
         classes=["cat"]),
    case("set-no-train", "a validation and a test split, but none to train on",
         lambda: zip_of({**folder(prefix="val/"), **folder(prefix="test/", seed=1)}), "no_training_split",
         found="val, test"),
    case("set-one-class-to-train", "two classes to test on, one to train on",
         lambda: zip_of({**folder(("cat",), prefix="train/"), **folder(prefix="test/", seed=1)}),
         "too_few_classes", classes=["cat"]),
    case("set-no-folders", "images in no class folder",
         lambda: zip_of({f"{i}.png": PNG for i in range(4)}), "no_images", skipped=4),
    case("set-text", "text in class folders", _text_in_folders, "unrecognised_format"),
    case("set-hidden", "images in hidden folders alone",
         lambda: zip_of({f".trash/{name}/0.png": PNG for name in ("cat", "dog")}), "unrecognised_format"),
)  # fmt: skip
