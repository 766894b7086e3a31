"""`python -m examples.digits FILE`: scikit-learn's handwritten digits as an ImageFolder zip.

1,797 real images of 8x8 px come with scikit-learn, so nothing is downloaded.
"""

import io
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits


def write_zip(target: Path) -> int:
    """Write `<digit>/<number>.png` for every image. Returns how many."""
    digits = load_digits()
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for number, (image, label) in enumerate(zip(digits.images, digits.target, strict=True)):
            png = io.BytesIO()
            # 17 levels, 0 to 16.
            Image.fromarray(np.rint(image * 255 / 16).astype(np.uint8)).save(png, "PNG")
            archive.writestr(f"{label}/{number:04d}.png", png.getvalue())
    return len(digits.images)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    print(f"{write_zip(path)} images in {path}")
