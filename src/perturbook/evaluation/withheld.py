"""A truth without its measurements: for profiles so few that their means would be the origin's own data."""

from dataclasses import fields, replace

import numpy as np

from perturbook.evaluation.truth import Truth


def must_withhold(truth: Truth) -> bool:
    """True for bulk profiles: a condition of one to four of them is the origin's data, which this project ships not."""
    return truth.facts.get("value_kind") == "log_intensity"


def withheld(truth: Truth) -> bool:
    """True where the measurements were taken out before the truth was stored."""
    return bool(truth.facts.get("withheld", False))


def withhold(truth: Truth) -> Truth:
    """The truth with labels, genes and facts as they are, NaN for every measured number and -1 for every gene position."""
    blank = {
        f.name: _blank(getattr(truth, f.name))
        for f in fields(truth)
        if f.name not in ("genes", "contexts", "obs")
    }
    return replace(truth, **{**blank, "facts": {**truth.facts, "withheld": True}})


def _blank(value):
    if isinstance(value, dict):
        return {name: _blank(one) for name, one in value.items()}
    if not isinstance(value, np.ndarray):
        return value
    return np.full_like(value, {"f": np.nan, "b": False}.get(value.dtype.kind, -1))
