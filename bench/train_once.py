"""`python -m bench.train_once EPOCHS COUNT CORE`: the seconds of so many networks, one after the other.

The networks, images and test set are of the size that bench/workers.py has trained by the service; here there
is nothing beside them. Run once, and by two processes at a time, it shows what a second core of this machine
is worth.
"""

import os
import sys
import time

import numpy as np
import torch

from core.engine.config import EvaluateConfig
from core.engine.evaluate import train_and_score
from core.engine.images import LabelledImages
from core.trials.training import finish

CLASSES, PIXELS, TEST_IMAGES = 10, 32, 269


def main(epochs: int, count: int, core: int) -> None:
    os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)
    random = np.random.default_rng(0)
    test = LabelledImages(
        images_NHWC=random.integers(0, 256, (TEST_IMAGES, PIXELS, PIXELS, 1), dtype=np.uint8),
        labels_N=np.arange(TEST_IMAGES) % CLASSES,
        mean=(0.5,),
        std=(0.5,),
        num_classes=CLASSES,
    )
    images_NCHW, labels_N = torch.randn(CLASSES, 1, PIXELS, PIXELS), torch.arange(CLASSES)
    config = EvaluateConfig(epochs=epochs)
    finish(train_and_score((images_NCHW, labels_N), test, EvaluateConfig(epochs=1), 0), lambda _: None)
    began = time.perf_counter()
    for repeat in range(count):
        finish(train_and_score((images_NCHW, labels_N), test, config, repeat), lambda _: None)
    print(time.perf_counter() - began)  # noqa: T201


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
