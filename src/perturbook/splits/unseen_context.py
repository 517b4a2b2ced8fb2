"""`zero_shot_context` and `few_shot_context`: a cell line or cell type whose response was never, or hardly, measured."""

import numpy as np

from perturbook.errors import ConfigError
from perturbook.splits.partition import Split
from perturbook.splits.setting import Drawn, Screen, setting

MODES = {"A": "control_in_training", "B": "control_at_inference_only"}


def _context(screen: Screen, rng: np.random.Generator, held_out: str | list[str] | None) -> tuple[str, str]:
    """Return the held-out context and a validation context, both treated; raises ConfigError naming what is missing."""
    contexts = screen.levels("context")
    if len(contexts) < 3:
        raise ConfigError(
            f"Holding out a context needs at least three treated contexts (train, validation, test); found {contexts}."
        )
    named = screen.known("context", held_out or str(rng.choice(contexts)))
    if len(named) != 1:
        raise ConfigError(f"held_out must name one context per split, not {named}; make one split for each.")
    context = named[0]
    return context, str(rng.choice([other for other in contexts if other != context]))


def _outside_support(screen: Screen, context: str, support: list[str]) -> np.ndarray:
    """Treated cells of `context` whose perturbation (or cell name) is not among `support`."""
    obs = screen.obs
    inside = obs["perturbation"].isin(support) | obs.index.isin(support)
    return screen.treated & (obs["context"] == context).to_numpy() & ~inside.to_numpy()


def _forbidden_zero_shot(screen: Screen, split: Split) -> np.ndarray:
    there = screen.obs["context"].isin(split.conditions["context"]).to_numpy()
    return there if split.options["mode"] == "B" else there & screen.treated


@setting(
    "zero_shot_context",
    title="Zero-shot context",
    question="Nobody has treated this cell line: can its untreated cells alone tell how it would respond?",
    takes=("held_out", "mode"),
    forbidden=_forbidden_zero_shot,
)
def draw_zero_shot(
    screen: Screen, rng: np.random.Generator, held_out: str | list[str] | None = None, mode: str = "A"
) -> Drawn:
    """Hold out every treated cell of one context; another context validates.

    Args:
        screen: labels of the data set.
        rng: draws the context when none is named, and the validation context.
        held_out: the context.
        mode: "A" lets the controls of the context into training, "B" shows them at prediction time only; there the
            controls of the validation context belong to validation, so that it asks what the test asks.

    Raises:
        ConfigError: unknown context or mode, or fewer than three contexts.

    Source: scdca.md section 5, modes A and B.
    """
    if mode not in MODES:
        raise ConfigError(f"mode={mode!r} must be A (control_in_training) or B (control_at_inference_only).")
    context, other = _context(screen, rng, held_out)
    test, valid = _outside_support(screen, context, []), _outside_support(screen, other, [])
    hidden = ~screen.treated & (mode == "B")
    withheld = hidden & (screen.obs["context"] == context).to_numpy()
    valid |= hidden & (screen.obs["context"] == other).to_numpy()
    return Drawn(test, valid, withheld, (context,), {"mode": mode, "validation_context": other})


def _forbidden_few_shot(screen: Screen, split: Split) -> np.ndarray:
    return np.logical_or.reduce(
        [_outside_support(screen, c, split.options["support"]) for c in split.conditions["context"].unique()]
    )


def _audit_by_cells(split: Split) -> bool:
    return split.options["support_unit"] == "cells" and split.options["k"] > 0


@setting(
    "few_shot_context",
    title="Few-shot context",
    question="A handful of measurements in the new cell line are affordable: what do they buy?",
    takes=("held_out", "k"),
    forbidden=_forbidden_few_shot,
    shares_conditions=_audit_by_cells,
)
def draw_few_shot(
    screen: Screen, rng: np.random.Generator, held_out: str | list[str] | None = None, k: int = 8
) -> Drawn:
    """Hold out the treated cells of one context except `k` support drugs, or `k` support cells of a single drug.

    Supports of one seed are nested: the support of a smaller `k` is part of that of a larger one, so that what is tested
    at the largest `k` of a sweep is tested at all of them, `k` = 0 (zero-shot, mode A) included. Names of one parent
    structure are one drug. The validation context keeps a support of its own, fewer than `k` where it has no more.

    Args:
        screen: labels of the data set.
        rng: draws the contexts and the support.
        held_out: the context.
        k: support drugs with all their doses; support cells where the data set has a single perturbation.

    Raises:
        ConfigError: unknown context, or `k` leaves nothing to predict.

    Source: scdca.md section 5; support by cells is our choice for data sets of one perturbation.
    """
    context, other = _context(screen, rng, held_out)
    unit = "cells" if len(screen.levels("structure")) == 1 else "perturbations"
    supports = {}
    for name in (context, other):
        mine = screen.obs[screen.treated & (screen.obs["context"] == name).to_numpy()]
        labels = mine.index if unit == "cells" else mine["structure"]
        pool = rng.permutation(sorted(set(labels)))
        if name == context and k >= len(pool):
            raise ConfigError(
                f"k={k} support {unit} leave nothing to predict in {name!r}, which has {len(pool)}."
            )
        kept = mine[labels.isin(pool[: min(k, len(pool) - 1)])]
        supports[name] = sorted(set(kept.index if unit == "cells" else kept["perturbation"]))
    test, valid = (_outside_support(screen, name, supports[name]) for name in (context, other))
    options = {"k": k, "support": supports[context], "support_unit": unit, "validation_context": other}
    return Drawn(test, valid, np.zeros_like(test), (context,), options)
