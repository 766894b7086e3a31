"""Binary CIFAR archives whose records or names do not fit."""

from collections.abc import Callable

from core.data.limits import Limits
from tests.data.case import Case, case
from tests.data.pack import tar_of, zip_of
from tests.data.small_sets import records
from tests.unit.data.builders import cifar_files, pixels

BATCH = records(4, [0, 1, 0, 1])
NAMES = b"frog\nship\n"


def _ten(**others: bytes) -> Callable[[], bytes]:
    """CIFAR-10 with these members in addition or instead."""
    files = {"batches.meta.txt": NAMES, "data_batch_1.bin": BATCH, "test_batch.bin": BATCH}
    named = {f"{name.replace('_txt', '.txt').replace('__', '.')}": data for name, data in others.items()}
    return lambda: zip_of({**files, **named})


BAD, MISMATCH = "corrupt_cifar", "label_mismatch"

CASES: tuple[Case, ...] = (
    case("cifar-bin-cut", "a batch a byte short", _ten(data_batch_2__bin=BATCH[:-1]), BAD, member="data_batch_2.bin"),
    case("cifar-bin-long", "a batch a byte too long", _ten(test_batch__bin=BATCH + b"\0"), BAD,
         member="test_batch.bin"),
    case("cifar-bin-empty", "an empty batch", _ten(data_batch_2__bin=b""), BAD, member="data_batch_2.bin"),
    case("cifar-bin-one-byte", "a batch of one byte", _ten(data_batch_2__bin=b"\0"), BAD, member="data_batch_2.bin"),
    case("cifar-bin-hundreds", "records of CIFAR-100 under the names of CIFAR-10",
         _ten(data_batch_1__bin=records(4, [0] * 4, [0, 1] * 2)), BAD, member="data_batch_1.bin"),
    case("cifar-bin-label", "a label past the end of the names",
         _ten(data_batch_1__bin=records(4, [0, 1, 0, 255])), MISMATCH),
    case("cifar-bin-both", "batches of CIFAR-10 and of CIFAR-100", _ten(train__bin=records(2, [0, 0], [0, 1])),
         "ambiguous_members"),
    case("cifar-bin-with-python", "a batch that calls beside binary ones",
         lambda: tar_of({**{name.rpartition("/")[2]: data for name, data in cifar_files(pixels(12, 32)).items()},
                         "data_batch_1.bin": BATCH, "data_batch_3": b"cos\nsystem\n(S'touch canary-sang'\ntR."}),
         "unsafe_pickle", member="data_batch_3"),
    case("cifar-bin-names-short", "fewer names than labels", _ten(batches__meta_txt=b"frog\n"), MISMATCH),
    case("cifar-bin-names-twice", "a name twice", _ten(batches__meta_txt=b"frog\nfrog\n"), MISMATCH,
         member="batches.meta.txt"),
    case("cifar-bin-names-nul", "a name with a NUL", _ten(batches__meta_txt=b"frog\nsh\0ip\n"), "unsafe_class_name",
         member="batches.meta.txt"),
    case("cifar-bin-names-huge", "70 KB of names", _ten(batches__meta_txt=b"x" * 70_000), "limit_exceeded",
         limit_name="bytes of the class names"),
    case("cifar-bin-one-class", "labels that are all the same", _ten(data_batch_1__bin=records(4, [1] * 4)),
         "too_few_classes", classes=["ship"]),
    case("cifar-bin-test-only", "a test batch and no other",
         lambda: zip_of({"test_batch.bin": BATCH, "batches.meta.txt": NAMES}), "no_training_split", found="test"),
    case("cifar-bin-images", "more images than allowed", _ten(), "limit_exceeded", limits=Limits(images=7),
         limit_name="images", value=8),
    case("cifar-bin-text", "text under the name of a batch", lambda: zip_of({"data_batch_1.bin": b"text " * 900}),
         "unrecognised_format"),
)  # fmt: skip
