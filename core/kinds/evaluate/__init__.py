"""Evaluation of any condensed set on a data set of its classes: on any networks, beside baselines."""

from core.kinds.evaluate.fit import cost, fit, label
from core.kinds.evaluate.result import EvaluateResult
from core.kinds.evaluate.spec import EvaluateSpec
from core.kinds.kind import Kind, Phase

EVALUATE = Kind(
    name="evaluate",
    title="Evaluate",
    spec=EvaluateSpec,
    result=EvaluateResult,
    phases=(
        Phase(name="evaluate", queue="gpu", run="core.kinds.evaluating:run"),
        Phase(name="export", queue="cpu", run="core.kinds.evaluate.run:export"),
    ),
    takes_condensed_set=True,
    fit=fit,
    cost=cost,
    label=label,
    plan=EvaluateSpec.trial_plan,
    images="core.kinds.evaluate.run:images",
    examples=(
        {},
        {"architectures": [{"name": "resnet18", "norm": "batch"}], "networks": 3, "epochs": 300},
        {"architectures": [{}, {"name": "vgg11"}], "baselines": ["random", "herding", "whole"]},
    ),
)
