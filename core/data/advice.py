"""From which images on collages are advised against: for the report, and for the defaults of jobs."""

MIN_COLLAGE_SIZE = 24
"""px: of smaller images several in the place of one lose too much."""

LOST_BY_COLLAGES = 0.1
"""Share of what images show (core/data/canonical/detail.py) above which collages of many images a class are
likely to hurt: between CIFAR-10's 0.08, whose are reported to pay at 10 and at 50, and Fashion-MNIST's 0.13,
whose are reported to lose at 50."""

MOST_IPC_OF_LOSSY_COLLAGES = 10
"""Images per class up to which collages pay all the same."""
