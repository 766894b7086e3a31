"""Tables of labels that are broken, contradict themselves, or name what is not there."""

from collections.abc import Callable

from core.data.limits import MIB, Limits
from tests.data.case import Case, case
from tests.data.pack import zip_of
from tests.data.small_sets import images, table
from tests.unit.data.builders import Files, encode, pixels

#: Tables are recognised by their first hundred rows, and read to their end by the reader alone.
GOOD_ROWS = ["0.png,a", "1.png,b"] * 75
JSON_ROWS = b'{"file_name": "0.png", "label": "a"}\n{"file_name": "1.png", "label": "b"}\n' * 75


def _flat(prefix: str = "") -> Files:
    return {f"{prefix}{i}.png": image for i, image in enumerate(images())}


def _set(content: bytes, name: str = "labels.csv") -> Callable[[], bytes]:
    return lambda: zip_of({**_flat(), name: content}, 0)


def _rows(*rows: str, header: str = "file_name,label") -> Callable[[], bytes]:
    return _set(table(header, *rows))


def _after(content: bytes) -> Callable[[], bytes]:
    return _set(table("file_name,label", *GOOD_ROWS) + content)


def _json_after(content: bytes) -> Callable[[], bytes]:
    return _set(JSON_ROWS + content, "metadata.jsonl")


MISSING, BAD, LIMIT, CONFLICT = "missing_files", "corrupt_table", "limit_exceeded", "conflicting_labels"
ROW_LIMIT = "bytes of a row"
ELSEWHERE: tuple[tuple[str, str], ...] = (
    ("parent", "../../etc/passwd"),
    ("absolute", "/etc/passwd"),
    ("windows", "C:\\images\\9.png"),
    ("url", "https://example.org/0.jpg"),
    ("nul", "0.png\0"),
    ("long", "x" * 5000),
    ("surrogate", "\u00e9" * 300),
    ("home", "~/0.png.gz"),
)

CASES: tuple[Case, ...] = (
    *(case(f"table-file-{name}", f"a row that names {written[:30]!r}", _rows("0.png,a", "1.png,b", f"{written},a"),
           MISSING, value=1, member="labels.csv") for name, written in ELSEWHERE),
    case("table-missing", "a row of a file that is missing", _rows("0.png,a", "1.png,b", "9.png,a"), MISSING,
         value=1, first=["9.png"]),
    case("table-missing-all", "a table of other files", _rows("7.png,a", "8.png,b"), MISSING, value=2),
    case("table-two-labels", "a file with two labels", _rows("0.png,a", "1.png,b", "0.png,b"), CONFLICT,
         member="0.png"),
    case("table-two-labels-by-name", "a file with two labels under two names", _rows("0.png,a", "1.png,b", "0,b"),
         CONFLICT, member="0.png"),
    case("table-two-splits", "a file in two splits",
         _rows("0.png,a,train", "1.png,b,train", "0.png,a,test", header="file_name,label,split"), CONFLICT,
         member="0.png"),
    case("table-two-tables", "a file with two labels in two tables",
         lambda: zip_of({**_flat(), "a.csv": table("file,label", "0.png,a", "1.png,b"),
                         "b.csv": table("file,label", "0.png,b")}), CONFLICT, member="0.png"),
    case("table-no-label-column", "a table without labels", _set(table("file_name,size", "0.png,1", "1.png,2")),
         "no_images"),
    case("table-no-file-column", "a table without file names", _set(table("a,label", "0.png,1", "1.png,2")),
         "no_images"),
    case("table-labels-empty", "a table whose labels are all empty", _rows("0.png,", "1.png,"), "no_images"),
    case("table-file-empty", "a row without a file", _rows("0.png,a", ",b"), BAD, line=3),
    case("table-empty", "an empty table", _set(b""), "no_images"),
    case("table-header-only", "a table without rows", _rows(), "no_images"),
    case("table-bom-only", "a table of a byte order mark", _set(b"\xef\xbb\xbf"), "no_images"),
    case("table-utf16", "a table in UTF-16", _set("file_name,label\n0.png,a\n".encode("utf-16")), BAD, line=1),
    case("table-not-utf8", "a row that is not UTF-8", _after(b"2.png,caf\xe9\n"), BAD, line=152,
         member="labels.csv"),
    case("table-nul", "a NUL in a label", _rows("0.png,a", "1.png,b\0"), "unsafe_class_name", member="labels.csv"),
    case("table-control", "an escape sequence in a label", _rows("0.png,a", "1.png,\x1b[2J"), "unsafe_class_name"),
    case("table-label-long", "a label of 1,025 bytes", _rows("0.png,a", "1.png," + "x" * 1025), LIMIT,
         limit_name="name_bytes of a class name", value=1025),
    case("table-line-long", "a line of a byte over 1 MiB", _after(b"2.png," + b"x" * MIB + b"\n"), LIMIT,
         limit_name=ROW_LIMIT, limit=MIB),
    case("table-line-endless", "a last line of 3 MiB without an end", _after(b"x" * (3 * MIB)), LIMIT,
         limit_name=ROW_LIMIT),
    case("table-quote-open", "a quote that is never closed", _after(b'2.png,"b\n' + b"x,y\n" * 10), BAD),
    case("table-quote-megabytes", "a quote that is never closed, for 2 MiB", _after(b'2.png,"' + b"x,y\n" * 2**19),
         BAD),
    case("table-quote-cells", "a row of half a million lines in quotes", _after(b'x,"\n' + b'","\n' * 2**19), LIMIT,
         limit_name=ROW_LIMIT),
    case("table-quote-text", "text behind a closed quote", _after(b'2.png,"a"b\n'), BAD, line=152),
    case("table-cells", "a row of more cells than the header", _after(b"2.png,a,b\n"), BAD, line=152),
    case("table-cells-at-once", "a first row of more cells than the header", _rows("0.png,a,b", "1.png,b"), BAD,
         line=2),
    case("table-columns-twice", "a column name twice", _rows("0.png,a,b", header="file_name,label,label"), BAD,
         line=1),
    case("table-files-ambiguous", "a name that two files have",
         lambda: zip_of({**_flat("a/"), **_flat("b/"), "t.csv": table("file,label", "0,x", "1,y")}),
         "ambiguous_files", member="t.csv"),
    case("table-classes", "more classes than allowed", _rows("0.png,a", "1.png,b", "2.png,c"), LIMIT,
         limits=Limits(classes=2), limit_name="classes"),
    case("table-images", "more images than allowed", _rows("0.png,a", "1.png,b"), LIMIT, limits=Limits(images=1),
         limit_name="images"),
    case("table-one-class", "one class", _rows("0.png,a", "1.png,a"), "too_few_classes", classes=["a"]),
    case("table-test-only", "a test split and no other",
         _rows("0.png,a,test", "1.png,b,test", header="file_name,label,split"), "no_training_split", found="test"),
    case("table-splits-unknown", "splits of which none is known but one",
         _rows("0.png,a,fit", "1.png,b,fit", "2.png,a,test", header="file_name,label,split"), "no_training_split"),
    case("table-images-broken", "names of files that are no images",
         lambda: zip_of({"0.png": b"x", "1.png": b"y", "t.csv": table("file,label", "0.png,a", "1.png,b")}),
         "no_images", skipped=2),
    case("table-image-huge", "a name of an image of too many pixels",
         lambda: zip_of({"0.png": encode(pixels(1)[0]), "t.csv": table("file,label", "0.png,a")}), LIMIT,
         limits=Limits(image_pixels=255), limit_name="image_pixels", member="0.png"),
    case("jsonl-broken", "a line that breaks off", _json_after(b'{"file_name": "2.png", '), BAD, line=151,
         member="metadata.jsonl"),
    case("jsonl-list", "a line that is a list", _json_after(b'["2.png", "a"]'), BAD, line=151),
    case("jsonl-deep", "lists in lists, 99,999 deep", _json_after(b"[" * 99_999), BAD, line=151),
    case("jsonl-deep-label", "a label of objects in objects, 50,000 deep",
         _json_after(b'{"file_name": "2.png", "label": ' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001), BAD, line=151),
    case("jsonl-digits", "a label of 100,000 digits",
         _json_after(b'{"file_name": "2.png", "label": ' + b"9" * 100_000 + b"}"), BAD, line=151),
    case("jsonl-surrogate", "a label of half a surrogate pair",
         _json_after(b'{"file_name": "2.png", "label": "\\ud800"}'), "unsafe_class_name"),
    case("jsonl-file-surrogate", "a file name of half a surrogate pair and a NUL",
         _json_after(b'{"file_name": "\\ud800\\u0000", "label": "a"}'), MISSING, first=["\\ud800\\0"]),
    case("jsonl-file-list", "a file name that is a list", _json_after(b'{"file_name": ["2.png"], "label": "a"}'),
         MISSING, value=1),
    case("jsonl-line-long", "a line of over 1 MiB", _json_after(b'{"file_name": "' + b"x" * MIB + b'"}'), LIMIT,
         limit_name=ROW_LIMIT),
    case("jsonl-not-utf8", "a line that is not UTF-8", _json_after(b'{"file_name": "\xff"}'), BAD, line=151),
)  # fmt: skip
