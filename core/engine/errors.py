"""What can go wrong in the arithmetic itself, and in the memory that it takes."""


class NumericalError(ArithmeticError):
    """A loss, an image or a velocity is infinite or not a number. The same configuration meets it again."""


class TrainingDiverged(NumericalError):
    """Of a network that is evaluated with: its own settings, which are the protocol's, led there."""


class OutOfMemory(MemoryError):
    """Memory does not suffice for an iteration, however few images are embedded at once.

    `splits`: whether the network lets a batch be split at all.
    """

    def __init__(self, detail: str, *, splits: bool) -> None:
        super().__init__(detail)
        self.splits = splits
