"""What the python and the binary archive of CIFAR-10 and CIFAR-100 share.

Layout: A. Krizhevsky, https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import re

from core.data.containers.members import Member
from core.data.source import TEST, TRAIN

SIDE = 32
PIXEL_BYTES = 3 * SIDE * SIDE


def split_of(member: Member) -> int:
    """TRAIN or TEST, by the name of a batch."""
    return TEST if "test" in member.base_name else TRAIN


def batch_order(member: Member) -> tuple[bool, int, str]:
    """Sorts the training batches by their numbers and puts the test batch last."""
    return "test" in member.base_name, int("0" + re.sub(r"\D", "", member.base_name)), member.name
