"""The tables of a data card: what a set of cells holds, told without the expression of any cell."""

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook import data, splits
from perturbook.data.schema import CONTROL
from perturbook.errors import ConfigError

MANY = (
    8  # perturbations; above it, cells are grouped by dose, and above as many doses all treated are one group
)
QUANTILES = {"p5": 0.05, "q1": 0.25, "median": 0.5, "q3": 0.75, "p95": 0.95}
FEW_SHOT_K = (
    4  # drugs, or cells where there is one perturbation, when a data set is tried on the few-shot setting
)


def groups(obs: pd.DataFrame) -> pd.Series:
    """Name the treatment of each cell in few words: its perturbation, its dose, or that it is perturbed.

    Args:
        obs: cells in canonical columns, `(cells,)`.

    Returns:
        An ordered category, `(cells,)`: control, then perturbations by name or doses from low to high.
    """
    treated = ~obs["is_control"].to_numpy(bool)
    labels, dose = obs["perturbation"].astype(str), obs["dose_um"]
    names = sorted(labels[treated].unique())
    if len(names) > MANY:
        doses = sorted(dose[treated].dropna().unique())
        if len(doses) > MANY:
            doses, dose = [], dose * np.nan
        names = [f"{d:g} µM" for d in doses] + ["perturbed"] * int(dose[treated].isna().any())
        labels = dose.map(lambda d: "perturbed" if np.isnan(d) else f"{d:g} µM")
    labels = labels.where(treated, CONTROL)
    return pd.Series(pd.Categorical(labels, categories=[CONTROL, *names], ordered=True), index=obs.index)


def counts(obs: pd.DataFrame) -> pd.DataFrame:
    """Count cells and perturbations per context and group; columns context, group, perturbations, cells."""
    frame = pd.DataFrame(
        {
            "context": obs["context"].astype(str),
            "group": groups(obs),
            "perturbation": obs["perturbation"].astype(str),
        }
    )
    by = frame.groupby(["context", "group"], observed=True)["perturbation"]
    table = by.agg(perturbations="nunique", cells="size").reset_index()
    return table.astype({"group": str})


def depth(obs: pd.DataFrame) -> pd.DataFrame:
    """Describe the library sizes of every context, control and perturbed cells apart.

    Returns:
        Columns context, state, cells, then the quantiles of `QUANTILES` in counts per cell.
    """
    state = np.where(obs["is_control"], CONTROL, "perturbed")
    by = obs["n_counts"].groupby([obs["context"].astype(str), pd.Series(state, obs.index, name="state")])
    return by.agg(cells="size", **{name: _quantile(q) for name, q in QUANTILES.items()}).reset_index()


def _quantile(q: float):
    return lambda values: values.quantile(q)


def change(adata: AnnData) -> pd.DataFrame:
    """Measure how far perturbed profiles lie from the control of their context, beside what noise alone would give.

    The size of a change is the root mean square over genes of pseudobulk minus control pseudobulk. Without any
    effect its square would be the mean over genes of v (1 / n + 1 / n0), with the variance v of the control cells, n
    perturbed and n0 control cells.

    Args:
        adata: canonical cells, `(cells, genes)`.

    Returns:
        One row per context and dose, averaged over perturbations: context, dose_um (NaN where dose has no meaning),
        perturbations, measured, expected, in units of the expression (log1p of counts per 10k); empty for unperturbed
        cells.

    Source: our choice.
    """
    profiles = data.pseudobulk(adata)
    obs, mean, variance = profiles.obs, profiles.mean, profiles.variance
    rows = []
    for context, mine in obs.groupby("context", observed=True):
        at = obs.index.get_indexer(mine.index)
        zero = at[mine["is_control"].to_numpy(bool)][0]
        for i in at[~mine["is_control"].to_numpy(bool)]:
            noise = np.mean(variance[zero]) * (1 / obs["n_cells"].iat[i] + 1 / obs["n_cells"].iat[zero])
            rows.append(
                (context, obs["dose_um"].iat[i], np.mean((mean[i] - mean[zero]) ** 2) ** 0.5, noise**0.5)
            )
    table = pd.DataFrame(rows, columns=["context", "dose_um", "measured", "expected"])
    by = table.groupby(["context", "dose_um"], dropna=False)
    return by.agg(
        perturbations=("measured", "size"), measured=("measured", "mean"), expected=("expected", "mean")
    ).reset_index()


def settings(adata: AnnData, seed: int) -> pd.DataFrame:
    """Try every generalization setting on the cells; columns setting, carried ("yes" or "no"), why."""
    rows = []
    for name, rule in splits.SETTINGS.items():
        given = {"k": FEW_SHOT_K} if "k" in rule.takes else {}
        if "context" in rule.takes:  # a gene screen is one context; the first is tried
            treated = adata.obs.loc[~adata.obs["is_control"].astype(bool), "context"].astype(str)
            given |= {"context": min(treated)} if len(treated) else {}
        try:
            made = splits.split(adata, name, seed, **given)
            rows.append((rule.title, "yes", f"conditions to predict in one split: {len(made.conditions)}"))
        except ConfigError as why:
            rows.append((rule.title, "no", str(why)))
    return pd.DataFrame(rows, columns=["setting", "carried", "why"])
