"""`condensery.load`: the pixels of the file, bit by bit, and networks that learn from them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.utils.data import DataLoader

import condensery
from core.engine.images import LabelledImages
from core.export import safetensors
from tests.unit.export.conftest import NAMES, build, build_collages


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_loads_what_the_export_wrote(channels: int, tmp_path: Path) -> None:
    made = build(channels=channels)
    safetensors.write(made, tmp_path / "set.safetensors")
    loaded = condensery.load(tmp_path / "set.safetensors")
    by_core = safetensors.read(tmp_path / "set.safetensors")
    assert loaded.images.numpy().tobytes() == by_core.images_NCHW.tobytes()
    assert loaded.labels.tolist() == by_core.labels_N.tolist()
    assert (loaded.classes, loaded.card["source"]) == (list(NAMES), made.card["source"])
    np.testing.assert_allclose(loaded.pixels().numpy(), by_core.pixels_NCHW(), atol=1e-6)
    image, label = loaded[3]
    assert (image.shape, label) == ((channels, 8, 6), int(made.labels_N[3]))
    assert f"{len(loaded)} images of {channels} × 8 × 6, {len(NAMES)} classes" in repr(loaded)


@pytest.mark.parametrize("factor", [2, 3])
def test_collages_come_decoded_as_the_engine_decodes_them(factor: int, tmp_path: Path) -> None:
    made = build_collages(factor, height=25, width=28)
    assert made.collages is not None
    safetensors.write(made, tmp_path / "set.safetensors")
    loaded = condensery.load(tmp_path / "set.safetensors")
    assert loaded.images.numpy().tobytes() == made.images_NCHW.tobytes()
    assert loaded.labels.tolist() == made.labels_N.tolist()
    assert loaded.stored is not None and loaded.stored_labels is not None
    assert loaded.stored.numpy().tobytes() == made.collages.images_NCHW.tobytes()
    assert loaded.stored_labels.repeat(factor**2).tolist() == loaded.labels.tolist()
    torch.testing.assert_close(loaded.decode(loaded.stored), loaded.images, rtol=0, atol=1e-5)
    with pytest.raises(ValueError, match=r"stored must be of shape \(N, 3, H, W\), got \(3, 25, 28\)"):
        loaded.decode(loaded.stored[0])


def test_a_set_that_is_stored_as_it_is_has_nothing_to_decode(tmp_path: Path) -> None:
    safetensors.write(build(), tmp_path / "set.safetensors")
    loaded = condensery.load(tmp_path / "set.safetensors")
    assert loaded.stored is None and loaded.decode(loaded.images) is loaded.images


def test_test_images_are_normalised_as_the_engine_does(tmp_path: Path) -> None:
    made = build(height=16, width=16)
    safetensors.write(made, tmp_path / "set.safetensors")
    loaded = condensery.load(str(tmp_path / "set.safetensors"))
    real_NHWC = np.random.default_rng(0).integers(0, 256, (5, 16, 16, 3), dtype=np.uint8)
    labels = np.zeros(5, np.int64)
    engine = LabelledImages(
        images_NHWC=real_NHWC, labels_N=labels, mean=made.mean, std=made.std, num_classes=1
    )
    real_NCHW = torch.from_numpy(real_NHWC).permute(0, 3, 1, 2)
    expected = engine.normalised(torch.arange(5), torch.device("cpu"))
    torch.testing.assert_close(loaded.normalise(real_NCHW), expected)
    torch.testing.assert_close(loaded.normalise(real_NCHW[0].float() / 255), expected[0])
    with pytest.raises(ValueError, match=r"must be of shape \(…, 3, height, width\), got \(5, 16, 16, 3\)"):
        loaded.normalise(torch.from_numpy(real_NHWC))


def test_a_network_learns_from_it(tmp_path: Path) -> None:
    safetensors.write(build(ipc=4), tmp_path / "set.safetensors")
    loaded = condensery.load(tmp_path / "set.safetensors")
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 6, len(loaded.classes)))
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        for images, labels in DataLoader(loaded, batch_size=16, shuffle=True):
            loss = torch.nn.functional.cross_entropy(network(images), labels)
            optimiser.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            losses.append(loss.item())
    assert losses[-1] < losses[0] / 3


def test_other_files_are_refused_by_name(tmp_path: Path) -> None:
    text, other = tmp_path / "text.safetensors", tmp_path / "other.safetensors"
    text.write_text("not at all")
    save_file({"weights": torch.zeros(3)}, other)
    save_file({"images": torch.zeros(1), "labels": torch.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(ValueError, match=r"text\.safetensors is no condensed set"):
        condensery.load(text)
    with pytest.raises(ValueError, match=r"other\.safetensors is no condensed set"):
        condensery.load(other)
    with pytest.raises(ValueError, match="lacks classes, normalisation, pixels_normalised"):
        condensery.load(tmp_path / "bare.safetensors")
    with pytest.raises(FileNotFoundError):
        condensery.load(tmp_path / "absent.safetensors")
