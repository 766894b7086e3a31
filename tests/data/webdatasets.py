"""WebDataset tars whose labels or shards do not serve, or are made to harm."""

import gzip
import json
import lzma
from collections.abc import Callable

from core.data.limits import MIB, Limits
from tests.data.case import Case, case
from tests.data.pack import tar_of, zip_of
from tests.data.small_sets import images, samples
from tests.data.tars import END, member
from tests.unit.data.builders import Files

NUMBERS = [b"0", b"1"] * 2
GOOD_JSON = b'{"label": 1}'


def _set(**others: bytes | None) -> Callable[[], bytes]:
    """Good samples, with these members in addition or, if None, without; "_" stands for the dot of a name."""

    def make() -> bytes:
        files: Files = samples(NUMBERS)
        for key, data in others.items():
            name = key.lstrip("n").replace("_", ".")
            if data is None:
                del files[name]
            else:
                files[name] = data
        return tar_of(files)

    return make


def _last(label: bytes, part: str = "cls") -> Callable[[], bytes]:
    """Four samples with labels of this kind, the last one with this label."""
    good = {"cls": b"1", "json": GOOD_JSON, "txt": b"cat"}[part]
    return lambda: tar_of(samples([good] * 3 + [label], part))


def _shards(**shards: bytes) -> Callable[[], bytes]:
    """Shards beside a good one; "_" stands for the dot of a name."""
    good = tar_of(samples(NUMBERS))
    return lambda: zip_of({"0.tar": good, **{name.replace("_", "."): data for name, data in shards.items()}})


def _nested(depth: int) -> bytes:
    data = tar_of(samples(NUMBERS))
    for _ in range(depth):
        data = tar_of({"a.tar": data, "b.tar": data})
    return data


BAD, MISMATCH, LIMIT = "corrupt_label", "label_mismatch", "limit_exceeded"
CLS: tuple[tuple[str, str, bytes, str], ...] = (
    ("word", "a word", b"cat", BAD),
    ("float", "a half", b"0.5", BAD),
    ("exponent", "a number with an exponent", b"1e3", BAD),
    ("hex", "a hexadecimal number", b"0x1", BAD),
    ("digits", "60 digits", b"9" * 60, BAD),
    ("other-digits", "a digit of another script", "٣".encode(), BAD),
    ("empty", "nothing", b"", BAD),
    ("nul", "a NUL", b"1\0", BAD),
    ("not-utf8", "a byte that is not UTF-8", b"\xff", BAD),
    ("lines", "two lines", b"0\n1", BAD),
    ("pickle", "a pickle", b"\x80\x04K\x01.", BAD),
    ("long", "a number of 65 bytes", b"1" * 65, LIMIT),
)
JSON: tuple[tuple[str, str, bytes, str], ...] = (
    ("broken", "JSON that breaks off", b'{"label": ', BAD),
    ("list", "a list", b"[1]", BAD),
    ("number", "a number", b"1", BAD),
    ("no-label", "an object without a label", b"{}", BAD),
    ("label-list", "a label that is a list", b'{"label": [1]}', BAD),
    ("label-float", "a label that is a half", b'{"label": 0.5}', BAD),
    ("label-boolean", "a label that is true", b'{"label": true}', BAD),
    ("label-nan", "a label that is no number", b'{"label": NaN}', BAD),
    ("label-digits", "a label of 5,000 digits", b'{"label": ' + b"9" * 5000 + b"}", BAD),
    ("label-empty", "an empty label", b'{"label": " "}', BAD),
    ("deep", "lists in lists, 100,000 deep", b'{"label": ' + b"[" * 100_000, BAD),
    ("deep-closed", "objects in objects, 50,000 deep", b'{"a":' * 50_000 + b"1" + b"}" * 50_000, BAD),
    ("surrogate", "a label of half a surrogate pair", b'{"label": "\\ud800"}', "unsafe_class_name"),
    ("control", "a label with a NUL", b'{"label": "a\\u0000b"}', "unsafe_class_name"),
    ("huge", "a label file of a byte over 1 MiB", b'{"label": 1}' + b" " * MIB, LIMIT),
    ("mixed", "text where the others are numbers", b'{"label": ""}', BAD),
    ("long-name", "a label of 1,025 bytes", json.dumps({"label": "x" * 1025}).encode(), LIMIT),
)

CASES: tuple[Case, ...] = (
    *(case(f"webdataset-cls-{name}", f"a cls that is {about}", _last(label), code, member="0003.cls")
      for name, about, label, code in CLS),
    *(case(f"webdataset-json-{name}", f"a json of {about}", _last(label, "json"), code, member="0003.json")
      for name, about, label, code in JSON),
    case("webdataset-txt-lines", "a class name of two lines", _last(b"two\nlines", "txt"), BAD, member="0003.txt"),
    case("webdataset-txt-not-utf8", "a class name that is not UTF-8", _last(b"caf\xe9", "txt"), BAD,
         member="0003.txt"),
    case("webdataset-txt-huge", "a class name of 5 KB", _last(b"x" * 5000, "txt"), LIMIT,
         limit_name="bytes of a label file", member="0003.txt"),
    case("webdataset-cls-alone", "labels without images",
         lambda: tar_of({f"{i}.cls": b"1" for i in range(4)}), "unrecognised_format"),
    case("webdataset-images-alone", "a shard of images without labels",
         lambda: zip_of({"a.tar": tar_of({f"{i}.png": one for i, one in enumerate(images())})}), "no_images"),
    case("webdataset-apart", "labels and images that share no name",
         lambda: zip_of({"a.tar": tar_of({name if "png" in name else f"x{name}": data
                                          for name, data in samples(NUMBERS).items()})}), "no_images"),
    case("webdataset-one-labelled", "one image with a label", _set(n0000_cls=None, n0001_cls=None, n0002_cls=None),
         "too_few_classes", classes=["1"]),
    case("webdataset-class-beyond", "a class past the end of classes.txt", _set(classes_txt=b"only"), MISMATCH,
         limit=1, value=1),
    case("webdataset-class-negative", "a negative class beside classes.txt",
         _set(classes_txt=b"a\nb", n0003_cls=b"-1"), MISMATCH, value=-1, member="0003.cls"),
    case("webdataset-names-twice", "a class name twice", _set(classes_txt=b"a\na"), MISMATCH, member="classes.txt"),
    case("webdataset-names-gap", "an empty line among the class names", _set(classes_txt=b"a\n\nb"), MISMATCH,
         member="classes.txt"),
    case("webdataset-names-nul", "a class name with a NUL", _set(classes_txt=b"a\nb\0"), "unsafe_class_name",
         member="classes.txt"),
    case("webdataset-names-not-utf8", "class names that are not UTF-8", _set(classes_txt=b"a\n\xff"), BAD,
         member="classes.txt"),
    case("webdataset-names-differ", "two lists of class names",
         _set(classes_txt=b"a\nb", classnames_txt=b"b\na"), "ambiguous_members"),
    case("webdataset-names-many", "10,001 class names", _set(classes_txt=b"\n".join(b"%d" % i for i in range(10_001))),
         LIMIT, limit_name="classes", value=10_001),
    case("webdataset-twice", "a sample twice",
         lambda: b"".join(member(name.encode(), data) for name, data in samples(NUMBERS).items()) * 2 + END,
         "duplicate_member", member="0000.png"),
    case("webdataset-twice-by-case", "a sample twice, in capitals", _set(**{"0000_PNG": images()[0]}),
         "duplicate_member"),
    case("webdataset-tar-in-tar", "tars in tars in tars", lambda: _nested(3), "no_images"),
    case("webdataset-shard-bomb", "a shard of 32 MiB of zeros in 32 KB", _shards(**{"1_tar_gz": gzip.compress(bytes(2**25))}),
         LIMIT, limit_name="ratio"),
    case("webdataset-shard-cut", "a shard that is cut short",
         _shards(**{"1_tar": tar_of(samples(NUMBERS))[:1800]}), "truncated_archive", shard="1.tar"),
    case("webdataset-shard-xz-cut", "a compressed shard that is cut short",
         _shards(**{"1_tar_xz": lzma.compress(tar_of(samples(NUMBERS)))[:-40]}), "truncated_archive", shard="1.tar.xz"),
    case("webdataset-shard-text", "a compressed shard of text", _shards(**{"1_tar_gz": gzip.compress(b"text " * 900)}),
         "unrecognised_format", member="1.tar.gz"),
    case("webdataset-shard-slip", "a shard with a name that climbs out", _shards(**{"1_tar": tar_of({"../x.png": b""})}),
         "unsafe_member_name", shard="1.tar"),
    case("webdataset-shard-twice", "a shard with one name twice, but for case",
         _shards(**{"1_tar": tar_of({"a.png": b"", "A.png": b""})}), "duplicate_member"),
    case("webdataset-shards-count", "more members in all shards than allowed",
         _shards(**{"1_tar": tar_of(samples(NUMBERS))}), LIMIT, limits=Limits(members=15), limit_name="members"),
    case("webdataset-shard-too-deep", "a name that is too deep with its shard's",
         _shards(**{"1_tar": tar_of({"a/" * 14 + "b/x.png": b""})}), LIMIT, limit_name="name_depth"),
    case("webdataset-shards-test", "a test shard and no other",
         lambda: zip_of({"test.tar": tar_of(samples(NUMBERS))}), "no_training_split", found="test"),
    case("webdataset-pixels", "an image of more pixels than allowed", lambda: tar_of(samples(NUMBERS)), LIMIT,
         limits=Limits(image_pixels=63), limit_name="image_pixels"),
    case("webdataset-classes", "more classes than allowed", _last(b"2"), LIMIT, limits=Limits(classes=1),
         limit_name="classes"),
)  # fmt: skip
