"""That of most work after distribution matching: smaller batches, many steps, CutMix.

Kim et al., "Dataset Condensation via Efficient Synthetic-Data Parameterization" (IDC), ICML 2022, whose
evaluator DANCE and TGDD use too; those report the best test epoch, this the last. What batches go through was
chosen on a validation split: cutout beside CutMix costs more than it brings (docs/recipes.md).
"""

from core.engine.protocols.protocol import EvaluationProtocol

LONG = EvaluationProtocol(
    title="Dataset Condensation via Efficient Synthetic-Data Parameterization",
    link="https://arxiv.org/abs/2205.14959",
    steps=5_000,
    lr=0.01,
    momentum=0.9,
    weight_decay=5e-4,
    batch=64,
    lr_drops=((2 / 3, 0.2), (5 / 6, 0.2)),
    composed=("color", "crop", "flip"),
    cutmix=0.5,
)
