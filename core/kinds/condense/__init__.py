"""Condensation: images are matched, judged, and written in every format."""

from core.kinds.condense.cost import cost
from core.kinds.condense.fit import fit, label
from core.kinds.condense.result import CondenseResult
from core.kinds.condense.spec import CondenseSpec
from core.kinds.kind import Kind, Phase
from core.trials.methods import BASELINES

CONDENSE = Kind(
    name="condense",
    title="Condense",
    spec=CondenseSpec,
    result=CondenseResult,
    phases=(
        Phase(name="pool", queue="gpu", run="core.kinds.condense.pool:run", needed=CondenseSpec.needs_pool),
        Phase(name="condense", queue="gpu", run="core.kinds.condense.run:run"),
        Phase(name="evaluate", queue="gpu", run="core.kinds.evaluating:run"),
        Phase(name="export", queue="cpu", run="core.kinds.condense.export:run"),
    ),
    takes_condensed_set=False,
    fit=fit,
    cost=cost,
    label=label,
    plan=CondenseSpec.trial_plan,
    as_before=CondenseSpec.as_before_protocols,
    images="core.kinds.condense.run:finished_images",
    examples=(
        {"ipc": 10},
        {"ipc": 10, "recipe": "fast"},
        {"ipc": 10, "recipe": "dance-short"},
        {"ipc": 10, "recipe": "fast", "form": "collage-2", "evaluation": {"protocol": "paper"}},
        {
            "ipc": 10,
            "iterations": 300,
            "network": {"width": 32},
            "augment": "color_crop_cutout_scale_rotate",
            "evaluation": {"networks": 3, "epochs": 300, "baselines": ["random"]},
            "seed": 7,
        },
        {
            "ipc": 10,
            "evaluation": {
                "baselines": list(BASELINES),
                "cross_architecture": [{"norm": "batch"}, {"width": 256, "depth": 4}],
            },
        },
    ),
)
