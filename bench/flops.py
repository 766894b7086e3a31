"""Arithmetic of one iteration of condensation, by its convolutions: the rest is below 1 %."""


def convnet_forward(channels: int = 3, side: int = 32, width: int = 128, depth: int = 3) -> int:
    """FLOPs of ConvNet's convolutions 3x3 for one image, a multiplication and an addition counted as two."""
    total = 0
    for _ in range(depth):
        total += 2 * side * side * width * channels * 9
        channels, side = width, side // 2
    return total


def iteration(classes: int, batch_real: int, ipc: int) -> int:
    """FLOPs of one iteration: real images forward; synthetic ones forward and, at the same cost, back."""
    return classes * (batch_real + 2 * ipc) * convnet_forward()
