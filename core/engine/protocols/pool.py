"""How the networks of a pool are trained (core/engine/pool.py): no evaluator, and so in no table."""

from core.engine.protocols.protocol import EvaluationProtocol

POOL_TRAINING = EvaluationProtocol(
    title="DANCE: Dual-View Distribution Alignment for Dataset Condensation",
    link="https://arxiv.org/abs/2406.01063",
    lr=0.05,
    momentum=0.9,
    weight_decay=5e-4,
    batch=128,
    rise=0.15,
)
