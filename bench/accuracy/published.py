"""What the paper reports, to stand beside what is measured here.

Test accuracy in percent, as (mean, standard deviation or None). Zhao & Bilen, "Dataset Condensation with
Distribution Matching" (arXiv 2110.04181): ConvNet-3-128, 5 sets times 20 networks, 20,000 iterations, 1,000
epochs. Not every table there has a standard deviation.
"""

from collections.abc import Mapping

Figure = tuple[float, float | None]

METHOD_OF_PAPER = "dm"
NETWORKS = 100
"""Networks behind each of the paper's figures: 20 on each of 5 sets."""

ACCURACY: Mapping[tuple[str, str, int | None], Figure] = {
    ("fashion-mnist", "random", 1): (51.4, None),
    ("fashion-mnist", "random", 10): (73.8, None),
    ("fashion-mnist", "random", 50): (82.5, None),
    ("fashion-mnist", "dm", 1): (70.7, 0.6),
    ("fashion-mnist", "dm", 10): (83.5, 0.3),
    ("fashion-mnist", "dm", 50): (88.1, 0.6),
    ("fashion-mnist", "whole", None): (93.5, None),
    ("cifar-10", "random", 1): (14.4, None),
    ("cifar-10", "random", 10): (26.0, None),
    ("cifar-10", "random", 50): (43.4, None),
    ("cifar-10", "herding", 1): (21.5, None),
    ("cifar-10", "herding", 10): (31.6, None),
    ("cifar-10", "herding", 50): (40.4, None),
    ("cifar-10", "dm", 1): (26.0, 0.8),
    ("cifar-10", "dm", 10): (48.9, 0.6),
    ("cifar-10", "dm", 50): (63.0, 0.4),
    ("cifar-10", "whole", None): (84.8, None),
    ("imagenette-128", "random", 1): (23.5, None),
    ("imagenette-128", "random", 10): (47.7, None),
    ("imagenette-128", "dm", 1): (32.8, None),
    ("imagenette-128", "dm", 10): (58.1, None),
    ("imagenette-128", "whole", None): (87.4, None),
}
"""By data set, method and images per class, on the network that the set was made with."""

CROSS_ARCHITECTURE: Mapping[tuple[str, str, int | None, str], Figure] = {
    ("cifar-10", "dm", 50, "convnet"): (65.2, None),
    ("cifar-10", "dm", 50, "alexnet"): (61.3, None),
    ("cifar-10", "dm", 50, "vgg11"): (59.9, None),
    ("cifar-10", "dm", 50, "resnet18"): (57.0, None),
}
"""By data set, method, images per class and the network evaluated on, in the paper's own separate table."""
