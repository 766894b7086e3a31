"""For networks with batch norm and for ResNets, which SGD's small steps on so few images starve.

AdamW, CutMix and many steps, as Wang et al., "Dataset Distillation with Neural Characteristic Function"
(NCFM), CVPR 2025, evaluate; here with one rise and fall of the learning rate.
"""

from core.engine.protocols.protocol import EvaluationProtocol

ADAMW = EvaluationProtocol(
    title="Dataset Distillation with Neural Characteristic Function: A Minmax Perspective",
    link="https://arxiv.org/abs/2502.20653",
    steps=3_000,
    optimiser="adamw",
    lr=1e-3,
    weight_decay=0.01,
    batch=64,
    rise=0.1,
    composed=("color", "crop", "flip"),
    cutmix=0.5,
)
