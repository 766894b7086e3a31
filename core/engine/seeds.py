"""Counter-based randomness: every random choice is a function of (seed, purpose, iteration).

So a resumed run needs no generator state, an evaluation in between shifts nothing, and the global generators
are neither read nor written.
"""

import hashlib

import torch


def generator(seed: int, iteration: int, purpose: str, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator for one purpose in one iteration, seeded with 63 hashed bits.

    The CPU's Mersenne Twister uses the low 32 of them, CUDA's Philox all.
    """
    digest = hashlib.blake2b(f"{seed}/{purpose}/{iteration}".encode(), digest_size=8).digest()
    fresh = torch.Generator(device)
    fresh.manual_seed(int.from_bytes(digest, "big") >> 1)
    return fresh
