"""What trials will cost, by arithmetic alone: no torch, so that the API can say it beforehand."""

from core.engine.flops import TRAINING_PASSES
from core.engine.networks import forward_cost
from core.trials.methods import METHODS
from core.trials.spec import NetworkSpec, TrialPlan


def flops_of_trials(
    plan: TrialPlan, *, train_images: int, test_images: int, classes: int, image_size: int, channels: int
) -> int:
    """Of all trials, and of the network that chooses images by its features if there is one."""

    def forward(network: NetworkSpec) -> int:
        size = (image_size, image_size)
        return forward_cost(network.config(), size, channels, classes).flops

    flops = 0
    for entry in plan.entries():
        whole = METHODS[entry.method].of == "whole"
        images = train_images if whole else plan.trained_per_class(entry.method) * classes
        trained = TRAINING_PASSES * images * plan.config(entry.network, images, whole=whole).epochs
        flops += forward(entry.network) * (trained + test_images)
    by_features = sum(METHODS[method].by_features for method in plan.baselines)
    if by_features:
        # One network for all; each method looks at every image once.
        trained = TRAINING_PASSES * train_images * plan.whole_epochs
        flops += forward(plan.networks[0]) * (trained + by_features * train_images)
    return flops
