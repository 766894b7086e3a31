from pathlib import Path

import numpy as np
import pytest
import torch

from core.engine.images import LabelledImages

from .problems import random_images


def test_normalised_is_pixel_over_255_minus_mean_over_std() -> None:
    chance = np.random.default_rng(0)
    pixels_NHWC = chance.integers(0, 256, (6, 16, 18, 3), dtype=np.uint8)
    mean, std = (0.1, 0.5, 0.9), (0.2, 0.3, 0.4)
    real = LabelledImages(pixels_NHWC, np.zeros(6, np.int64), mean, std, 1)
    x_NCHW = real.normalised(torch.tensor([4, 0, 4]), "cpu")
    expected = (pixels_NHWC[[4, 0, 4]] / 255 - np.array(mean)) / np.array(std)
    assert x_NCHW.dtype == torch.float32 and x_NCHW.is_contiguous()
    np.testing.assert_allclose(x_NCHW.numpy(), expected.transpose(0, 3, 1, 2), rtol=0, atol=2e-6)


def test_array_map_and_tensor_give_the_same_bits(tmp_path: Path) -> None:
    real = random_images(channels=3)
    pixels_NHWC = np.asarray(real.images_NHWC)
    np.save(tmp_path / "images.npy", pixels_NHWC)
    np.save(tmp_path / "labels.npy", np.asarray(real.labels_N))
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    labels_N = np.load(tmp_path / "labels.npy", mmap_mode="r")
    rest = (real.mean, real.std, real.num_classes)
    indices = torch.tensor([7, 3, 30])
    expected = real.normalised(indices, "cpu")
    assert torch.equal(LabelledImages(mapped, labels_N, *rest).normalised(indices, "cpu"), expected)
    tensor = torch.from_numpy(pixels_NHWC.copy())
    assert torch.equal(LabelledImages(tensor, real.labels_N, *rest).normalised(indices, "cpu"), expected)


def test_a_map_larger_than_memory_is_read_by_rows(tmp_path: Path) -> None:
    # A sparse file of 256 GiB: reading it whole cannot succeed.
    count = 2**38 // (512 * 512)
    huge = np.lib.format.open_memmap(
        tmp_path / "huge.npy", mode="w+", dtype=np.uint8, shape=(count, 512, 512, 1)
    )
    huge[count - 1] = 255
    real = LabelledImages(huge, np.zeros(count, np.int64), (0.0,), (1.0,), 1)
    x_NCHW = real.normalised(torch.tensor([0, count - 1]), "cpu")
    assert x_NCHW[0].max() == 0 and x_NCHW[1].min() == 1


def test_indices_by_class_and_missing_classes() -> None:
    real = LabelledImages(np.zeros((5, 16, 16, 1), np.uint8), np.array([3, 0, 3, 0, 3]), (0.5,), (0.5,), 5)
    assert [indices.tolist() for indices in real.indices_by_class] == [[1, 3], [], [], [0, 2, 4], []]
    assert real.classes == (0, 3)
    assert real.labels(torch.tensor([2, 1]), "cpu").tolist() == [3, 0]
    assert (len(real), real.size, real.channels) == (5, (16, 16), 1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images_NHWC": np.zeros((2, 16, 16, 1), np.float32)}, "images: type float32 is not uint8"),
        ({"images_NHWC": np.zeros((2, 16, 16), np.uint8)}, r"images: shape \(2, 16, 16\)"),
        ({"images_NHWC": np.zeros((2, 16, 16, 2), np.uint8)}, r"channels in \(1, 3, 4\)"),
        ({"images_NHWC": np.zeros((0, 16, 16, 1), np.uint8)}, "N > 0"),
        ({"images_NHWC": np.zeros((2, 15, 16, 1), np.uint8)}, "15x16 px is smaller than 16"),
        ({"labels_N": np.zeros(3, np.int64)}, r"labels: shape \(3,\) is not \(2,\)"),
        ({"labels_N": np.zeros(2, np.int32)}, "labels: type int32 is not int64"),
        ({"labels_N": np.array([0, 2])}, "labels: 0 to 2 found, outside 0 to 1"),
        ({"labels_N": np.array([-1, 0])}, "labels: -1 to 0 found"),
        ({"mean": (0.5, 0.5)}, "mean: .* is not 1 finite"),
        ({"std": (float("nan"),)}, "std: .* finite"),
        ({"std": (0.0,)}, "std: .* greater than 0"),
        ({"num_classes": 0}, "num_classes: 0"),
    ],
)
def test_what_does_not_fit_is_refused(change: dict[str, object], message: str) -> None:
    good = {
        "images_NHWC": np.zeros((2, 16, 16, 1), np.uint8),
        "labels_N": np.array([0, 1]),
        "mean": (0.5,),
        "std": (0.5,),
        "num_classes": 2,
    }
    LabelledImages(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=message):
        LabelledImages(**{**good, **change})  # type: ignore[arg-type]
