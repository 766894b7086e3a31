"""What a file's first bytes say it is."""

from core.errors import DataError

UNRECOGNISED = "unrecognised_format"
IMAGE_MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a", b"BM")
TIFF_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")  # the last two: BigTIFF
PARQUET_MAGIC = b"PAR1"
ENCRYPTED_PARQUET_MAGIC = b"PARE"
KNOWN = (
    (b"\x93NUMPY", "a single .npy array (labels are missing: put both arrays in one npz)"),
    (b"BZh", "bzip2 data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!", "a RAR archive"),
    (PARQUET_MAGIC, "a Parquet file"),
    (ENCRYPTED_PARQUET_MAGIC, "an encrypted Parquet file"),
    (b"\x28\xb5\x2f\xfd", "Zstandard data"),
    (b"\x00\x00\x08", "a single IDX file (put images and labels in one zip)"),
    (b"%PDF", "a PDF"),
    (b"\x80", "a pickle, which is never loaded"),
)


def is_image(head: bytes) -> bool:
    """Whether at least 12 leading bytes are those of PNG, JPEG, GIF, BMP, TIFF or WebP."""
    return head.startswith((*IMAGE_MAGIC, *TIFF_MAGIC)) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def describe(head: bytes) -> str:
    """A few words on what the leading bytes look like."""
    for magic, words in KNOWN:
        if head.startswith(magic):
            return words
    if is_image(head):
        return "a single image (a set is an archive of many)"
    if head.isascii() and all(byte >= 32 or byte in b"\t\n\r\f" for byte in head):
        return "text"
    return f"data that starts with {head[:8].hex(' ')}"


def unrecognised(seen: str) -> DataError:
    return DataError(
        f"the upload is not a data set of a known format: it holds {seen}", code=UNRECOGNISED, seen=seen
    )
