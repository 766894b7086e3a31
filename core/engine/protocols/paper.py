"""The paper's: the same for every network and every set (Zhao & Bilen, arXiv 2110.04181)."""

from core.engine.protocols.protocol import EvaluationProtocol

PAPER = EvaluationProtocol(
    title="Dataset Condensation with Distribution Matching",
    link="https://arxiv.org/abs/2110.04181",
    epochs=1_000,
    lr=0.01,
    momentum=0.9,
    weight_decay=5e-4,
    batch=256,
    lr_drops=((0.5, 0.1),),
)
