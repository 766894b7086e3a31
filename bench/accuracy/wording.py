"""What docs/results.md says besides its tables."""

TITLES = {
    "fashion-mnist": "Fashion-MNIST",
    "cifar-10": "CIFAR-10",
    "imagenette-64": "Imagenette, 64 px",
    "imagenette-128": "Imagenette, 128 px",
}

_IMAGENETTE = (
    "No setting was chosen on this set. It is a part of Imagenette, 1,500 training and 500 test images of "
    "224 px: published figures have more of both."
)

INTRODUCTION = """# Results

Written by `python -m bench.accuracy report` from what `python -m bench.accuracy run` recorded, but for the
remarks at its end, which name the commands.

Accuracy is on the untouched test split, tested once, after the last epoch: no network, epoch or set is
selected on it (of the settings of `fast` see CIFAR-10). A row is one set and the networks that were trained
on it from scratch: mean ± sample standard deviation over n networks, by the protocol that `training` names
([evaluation.md](evaluation.md#protocols)). Rows of different settings are never merged, and figures of
different protocols are not to be compared. IPC counts stored images; `images` is how many a network was
trained on, more where the stored ones are collages. **Paper** is Zhao & Bilen, arXiv 2110.04181: 20,000
iterations, batch_real 256, ConvNet of width 128, 1,000 epochs, 20 networks on each of 5 sets; where a row
here had less, its last column says so, and the two figures are not to be compared as equals. `dm` is the
paper's method; the other recipes ([recipes.md](recipes.md)) stand beside the paper's figure for DM. `random`,
`herding` and `k-center` are real images, the same number; `random-collage` is collages of random real images,
with nothing optimised: what they gain over `random` is not the condensation's. Each is one selection for
all n networks, so that ± says nothing of other random draws; `whole` is the whole training split."""

REMARKS = "## Remarks"
"""Heading of what is written by hand, to the end of the page: a new report keeps it."""

OF_DATASET = {
    "cifar-10": "The settings of `fast` were chosen by accuracy on this very test split "
    "([recipes.md](recipes.md)): its rows here are not those of a method that never saw it. Those of "
    "`dance-short` were chosen on a part of the training split.",
    "fashion-mnist": "No setting was chosen on this set. Its ConvNet is not quite the paper's: the official "
    "code pads images of 28 px by 3 in the first convolution, which gives 2,048 features, ours by 1, which "
    "gives 1,152.",
    "imagenette-64": _IMAGENETTE,
    "imagenette-128": _IMAGENETTE,
}
