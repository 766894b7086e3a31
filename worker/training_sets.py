"""What the evaluated networks are trained on: the condensed set in its two forms, and real images."""

import time
from dataclasses import replace

import torch
from torch import Tensor

from core.engine.baselines import Embed, herding, k_center, random_selection, train_feature_network
from core.engine.images import LabelledImages
from core.engine.state import synthetic_labels
from core.export import eight_bit
from core.jobs.spec import JobSpec
from worker.attempt import Attempt
from worker.pace import Pace, Training
from worker.training import tell, to_the_end

TrainingSet = tuple[Tensor, Tensor] | LabelledImages

#: Methods that look at the features of a network which is trained for that.
BY_FEATURES = ("herding", "k-center")


def features(spec: JobSpec) -> Training:
    """The network whose features herding and k-center look at."""
    return Training(method="features", network=spec.network_name(), repeat=0)


class TrainingSets:
    """Each made when it is first asked for, from the spec and the data alone: a resumed job gets the same.

    A selection is kept as indices and not as images, several of which might not fit on the device.
    """

    def __init__(
        self,
        attempt: Attempt,
        spec: JobSpec,
        images_NCHW: Tensor,
        real: LabelledImages,
        device: torch.device,
        pace: Pace,
    ) -> None:
        self._attempt = attempt
        self._spec = spec
        self._images_NCHW = images_NCHW
        self._real = real
        self._device = device
        self._pace = pace
        self._selected: dict[str, Tensor] = {}
        self._embed: Embed | None = None

    def of(self, method: str) -> TrainingSet:
        """Raises StopRequested."""
        if method == "whole":
            return self._real
        labels_N = synthetic_labels(self._real, self._spec.ipc)
        if method == "condensed":
            return self._images_NCHW, labels_N
        if method == "png":
            return self._as_png(labels_N), labels_N
        if method not in self._selected:
            self._selected[method] = self._select(method)
        return self._real.normalised(self._selected[method], self._device), labels_N

    def _as_png(self, labels_N: Tensor) -> Tensor:
        """The condensed images after the way through PNG files, normalised as any image file's pixels are."""
        real = self._real
        levels_NHWC = eight_bit.levels_NHWC(self._images_NCHW.cpu().numpy(), real.mean, real.std)
        files = replace(real, images_NHWC=levels_NHWC, labels_N=labels_N)
        return files.normalised(torch.arange(len(files)), self._device)

    def _select(self, method: str) -> Tensor:
        real, ipc = self._real, self._spec.ipc
        if method == "random":
            return random_selection(real, ipc, self._spec.seed).indices_N
        trained = self._feature_network()

        def embed(x_NCHW: Tensor) -> Tensor:
            # Epoch 0: nothing is trained on the selection yet.
            tell(self._attempt, self._about(method), 0, self._spec.evaluation.epochs, self._pace)
            return trained(x_NCHW)

        match method:
            case "herding":
                return herding(real, ipc, embed, device=self._device).indices_N
            case "k-center":
                return k_center(real, ipc, embed, device=self._device).indices_N
        raise ValueError(f"method: {method!r} is unknown")

    def _feature_network(self) -> Embed:
        """The job's own network, trained on the whole set: once, for both methods that look at features."""
        if self._embed is None:
            config = self._spec.evaluate_config(whole=True)
            steps = train_feature_network(self._real, config, device=self._device)
            training, began = features(self._spec), time.monotonic()
            self._pace.begin(training)
            self._embed = to_the_end(self._attempt, steps, self._about("features"), self._pace)
            self._pace.end(training, time.monotonic() - began)
        return self._embed

    def _about(self, method: str) -> dict[str, object]:
        return {"method": method, "architecture": self._spec.network_name(), "network": 1, "networks": 1}
