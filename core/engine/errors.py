"""What can go wrong in the arithmetic itself."""


class NumericalError(ArithmeticError):
    """A loss, an image or a velocity is infinite or not a number. The same configuration meets it again."""
