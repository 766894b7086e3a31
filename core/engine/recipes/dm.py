"""Distribution matching, with the paper's settings (Zhao & Bilen, arXiv 2110.04181)."""

from core.engine.config import CondenseConfig, default_lr
from core.engine.recipes.recipe import Recipe

# The defaults of the configuration. Jobs stored before lr_decay existed rely on its being 0 here.
DM = Recipe(
    title="Dataset Condensation with Distribution Matching",
    link="https://arxiv.org/abs/2110.04181",
    objective=CondenseConfig.objective,
    source=CondenseConfig.source,
    form=CondenseConfig.form,
    iterations=CondenseConfig.iterations,
    batch_real=CondenseConfig.batch_real,
    lr=default_lr,
    lr_decay=CondenseConfig.lr_decay,
    momentum=CondenseConfig.momentum,
)
