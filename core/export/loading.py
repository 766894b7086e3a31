"""How to load each format, in three lines, which the tests run as they stand."""

from core.export.condensed import CondensedSet

MODES = {1: "L", 3: "RGB", 4: "RGBA"}
"""Pillow's mode of the PNG files, by number of channels."""


def loading(condensed: CondensedSet) -> dict[str, list[str]]:
    """Lines of Python by format; the folders named are the zips, each unpacked into one of its own name."""
    return {
        "safetensors": [
            "from safetensors.numpy import load_file",
            'tensors = load_file("condensed.safetensors")',
            'images, labels = tensors["images"], tensors["labels"]',
        ],
        "npz": [
            "import numpy as np",
            'arrays = np.load("condensed.npz", allow_pickle=False)',
            'images, labels = arrays["images"], arrays["labels"]',
        ],
        "pt": [
            "import torch",
            'content = torch.load("condensed.pt", weights_only=True)',
            'images, labels = content["data"][0]',
        ],
        "parquet": [
            "from datasets import load_dataset",
            'rows = load_dataset("condensed-parquet", split="train")  # unzip … -d condensed-parquet',
            'images, labels = (rows.with_format("numpy")[column][:] for column in ("pixels", "label"))',
        ],
        "webdataset": [
            "from webdataset import WebDataset",
            'samples = WebDataset("condensed-webdataset.tar", shardshuffle=False).decode()',
            'images, labels = zip(*samples.to_tuple("npy", "cls"))',
        ],
        "png": _image_folder(condensed.images_NCHW.shape[1], all(condensed.images_per_class)),
    }


def _image_folder(channels: int, full: bool) -> list[str]:
    empty = "" if full else ", allow_empty=True"
    if channels == 3:
        return [
            "from torchvision.datasets import ImageFolder",
            f'dataset = ImageFolder("condensed-png"{empty})  # unzip condensed-png.zip -d condensed-png',
            "image, label = dataset[0]",
        ]
    loader = f'lambda path: Image.open(path).convert("{MODES[channels]}")'
    return [
        "from PIL import Image",
        "from torchvision.datasets import ImageFolder",
        f'dataset = ImageFolder("condensed-png"{empty}, loader={loader})',
    ]
