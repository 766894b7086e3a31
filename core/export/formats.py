"""The formats that a condensed set is offered in: the one list of them.

Everybody who names formats reads it here: the writing of them, the card, the API's document, the docs. It
imports nothing but the standard library, so that the API can.
"""

from dataclasses import dataclass

OCTETS = "application/octet-stream"
ZIP = "application/zip"


@dataclass(frozen=True)
class Format:
    """A file of a condensed set.

    Attributes:
        name: as users write it.
        file_name, media_type: of the download.
        module: dotted path of the module whose `WRITER` writes it (core/export/writer.py).
        read_by: for docs/data.md: what reads it, and what a reader has to know.
    """

    name: str
    file_name: str
    media_type: str
    module: str
    read_by: str


FORMATS = (
    Format("safetensors", "condensed.safetensors", OCTETS, "core.export.safetensors",
           "safetensors; the canonical one, with the card as metadata"),
    Format("manifest", "manifest.json", "application/json", "core.export.manifest",
           "anything: source, licence, configuration, results, how to load each format"),
    Format("npz", "condensed.npz", OCTETS, "core.export.npz", "NumPy, without pickle"),
    Format("pt", "condensed.pt", OCTETS, "core.export.pt",
           "`torch.load(weights_only=True)`, and evaluators of published condensed sets"),
    Format("parquet", "condensed-parquet.zip", ZIP, "core.export.parquet",
           "Hugging Face's `datasets` and its hub (dataset card, PNG images, labels, float32 pixels);"
           " pyarrow"),
    Format("webdataset", "condensed-webdataset.tar", "application/x-tar", "core.export.webdataset",
           "webdataset (`.npy`, `.cls`, `.png`), without unpacking"),
    Format("png", "condensed-png.zip", ZIP, "core.export.png",
           "torchvision's `ImageFolder`, and eyes; 8 bits, so not exact"),
    Format("preview", "preview.png", "image/png", "core.export.preview",
           "eyes; images with an alpha channel are shown on white"),
)  # fmt: skip
"""In the order of writing and listing. The first is canonical: the manifest states its digest."""

NAMES = tuple(one.name for one in FORMATS)
CANONICAL = FORMATS[0]

RESULTS = (
    Format("results", "results.json", "application/json", "core.export.results",
           "anything: what was evaluated, how, and every accuracy"),
    Format("results-csv", "results.csv", "text/csv", "core.export.results",
           "spreadsheets and pandas: a line for each network that was trained"),
)  # fmt: skip
"""What a job offers whose kind makes no condensed set."""

OFFERED = (*NAMES, *(one.name for one in RESULTS))
"""Names of every format of an artifact."""
