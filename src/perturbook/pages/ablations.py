"""The ablations: every arm of the adapter in every setting of a drug screen, for several seeds, scored beside floors.

Floors, opponents and the oracle are fitted here; arms train for long, and their predictions are read from `results/`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from anndata import AnnData

from perturbook import data
from perturbook.errors import ConfigError
from perturbook.evaluation import Bundle, highest_dose, score
from perturbook.evaluation.manifest import read_manifest
from perturbook.evaluation.predicted import Predicted
from perturbook.evaluation.strata import training_similarity
from perturbook.evaluation.truth import Truth
from perturbook.pages import trained
from perturbook.pages.design import CONTEXT_SETTINGS, Design
from perturbook.pages.predict import predict
from perturbook.pages.study import Asked, asked_of
from perturbook.splits import SETTINGS

ADAPTER = "scdca"
"""The arm that the others are compared with."""
ERROR, CORRELATION = "rmse_mean", "pearson_delta_ctrl"
MEASURES = (ERROR, CORRELATION)
SIMPLE = ("floor", "opponent")
"""Roles of the predictors that need no foundation model."""
ASKED = ("page", "data", "size", "settings", "seeds", "k", "scored_pairs", "models", "stored")
"""Parameters of the page that decide a value."""


@dataclass(frozen=True, eq=False)
class Ablations:
    """What the page shows."""

    values: dict[str, Any]
    """Parameters of the page."""
    scores: pd.DataFrame
    """Rows of `evaluation.score` of every design, with columns setting, seed, role, effect and similarity."""
    absent: pd.DataFrame
    """Predictors without a prediction: setting, seed, method, reason."""
    records: dict[str, dict]
    """What each stored arm says of its training, of the first design that has it."""
    audits: list[dict]
    """One per fold: setting, seed, held_out, counts, checks."""

    @cached_property
    def top(self) -> pd.DataFrame:
        """Scores at the highest dose."""
        return highest_dose(self.scores)[0]

    @property
    def where(self) -> str:
        """Words for the dose of `top`."""
        dose = highest_dose(self.scores)[1]
        return "" if np.isnan(dose) else f" at {dose:g} µM"

    @property
    def settings(self) -> list[str]:
        """Settings in the order of the page."""
        return list(dict.fromkeys(self.scores["setting"]))

    @property
    def methods(self) -> list[str]:
        """Arms in the order of the page, then the other predictors."""
        arms = list(self.values["stored"])
        return [*arms, *(name for name in self.values["models"] if name not in arms)]

    @cached_property
    def made(self) -> set[str]:
        """Arms with a stored prediction in at least one design."""
        return set(self.records)

    def stored_in(self, setting: str) -> list[str]:
        """Arms with a stored prediction of at least one seed of a setting, in the order of the page."""
        lost = self.absent.loc[self.absent["setting"] == setting, "method"].value_counts()
        return [arm for arm in self.values["stored"] if lost.get(arm, 0) < len(self.values["seeds"])]

    @cached_property
    def means(self) -> pd.DataFrame:
        """Mean score at the highest dose: per seed over conditions, then over seeds.

        Returns:
            Index (metric, setting, method); columns mean, se (standard error over seeds, NaN below two), seeds (with a
            defined mean), n_defined and n_total (conditions of these seeds). Rows without a defined value are left out.
        """
        keys = ["metric", "setting", "method"]
        by = self.top.groupby([*keys, "seed"], sort=False, observed=True)["value"]
        seeds = by.agg(["mean", "count", "size"]).dropna(subset="mean")
        over = seeds.groupby(level=keys, sort=False)
        table = over["mean"].agg(mean="mean", sd="std", seeds="size")
        table["se"] = table.pop("sd") / np.sqrt(table["seeds"])
        return table.assign(n_defined=over["count"].sum(), n_total=over["size"].sum())

    def best_simple(self, metric: str, setting: str) -> str:
        """The floor or opponent with the best mean at the highest dose among those of most seeds; empty where none has one."""
        rows = self.means.reset_index()
        names = self.top.loc[self.top["role"].isin(SIMPLE), "method"].unique()
        rows = rows[(rows["metric"] == metric) & (rows["setting"] == setting) & rows["method"].isin(names)]
        rows = rows[rows["seeds"] == rows["seeds"].max()]
        order = rows.sort_values("mean", ascending=metric == ERROR, kind="stable")
        return "" if order.empty else str(order["method"].iloc[0])


def designs(values: Mapping[str, Any], cells: AnnData | None = None) -> list[Design]:
    """One design per setting and seed; the predictions of each lie in `results/<page>-<setting>/<seed>/`.

    Where a setting holds out a context, seed s holds out context s of the sorted ones, beginning again behind the last:
    one context per seed, because training takes long.

    Args:
        values: parameters of the page.
        cells: the data, to read the contexts from; loaded where a setting needs them and they are not given.

    Raises:
        ConfigError: no setting or no seed is named, or one twice; or an impossible combination.
    """
    for name in ("settings", "seeds"):
        if not values[name] or len(set(values[name])) < len(values[name]):
            raise ConfigError(f"{name}={list(values[name])} must name at least one, and none twice.")
    lines: list[str] = []
    if set(values["settings"]) & set(CONTEXT_SETTINGS):
        obs = (load(values) if cells is None else cells).obs
        lines = sorted(obs.loc[~obs["is_control"].astype(bool), "context"].astype(str).unique())
    return [
        _design(values, setting, seed, lines) for setting in values["settings"] for seed in values["seeds"]
    ]


def _design(values: Mapping[str, Any], setting: str, seed: int, lines: list[str]) -> Design:
    takes = SETTINGS[setting].takes
    return Design(
        page=f"{values['page']}-{setting.replace('_', '-')}",
        data=values["data"],
        size=values["size"],
        setting=setting,
        models=[*values["models"], *values["stored"]],
        stored=list(values["stored"]),
        seed=seed,
        held_out=[lines[seed % len(lines)]] if setting in CONTEXT_SETTINGS else [],
        k=values["k"] if "k" in takes else 0,
        modes=["B"] if "mode" in takes else [],
        scored_pairs=values["scored_pairs"],
    )


def load(values: Mapping[str, Any]) -> AnnData:
    """Cells of the page, `(cells, genes)`."""
    return data.load(values["data"], **({"size": values["size"]} if values["size"] else {}))


def read(values: Mapping[str, Any]) -> Ablations:
    """Split, audit, fit the floors, read the stored arms, and score them in memory; nothing is written.

    Raises:
        LeakError: an audit failed; nothing is fitted. PerturbookError: a stored file is not the one its record names.
    """
    values = {name: values[name] for name in ASKED}
    cells = load(values)
    scores, absent, audits, records = [], [], [], {}
    for design in designs(values, cells):
        asked, labels = asked_of(design, cells), {"setting": design.setting, "seed": design.seed}
        live = [name for name in design.models if name not in design.stored]
        made = predict(live, cells, asked.folds, asked.truth) + _stored(design, asked.truth, values["page"])
        scores.append(_scored(asked, made).assign(**labels))
        absent += [{**labels, "method": one.name, "reason": one.reason} for one in made if one.mean is None]
        audits += [{**labels, **entry} for entry in asked.audits]
        for one in made:
            if one.name in design.stored and one.name not in records and one.mean is not None:
                records[one.name] = read_manifest(trained.place(design) / f"{one.name}.json")["made_of"]
    missing = pd.DataFrame(absent, columns=["setting", "seed", "method", "reason"])
    return Ablations(values, pd.concat(scores, ignore_index=True), missing, records, audits)


def _stored(design: Design, truth: Truth, page: str) -> list[Predicted]:
    """Stored predictions of the arms; a missing one names the command of the page, not of the folder."""
    folder, whole = f"`perturbook train {design.page}`", f"`perturbook train {page}`"
    return [replace(one, reason=one.reason.replace(folder, whole)) for one in trained.read(design, truth)]


def _scored(asked: Asked, made: list[Predicted]) -> pd.DataFrame:
    """Scores with the role of each predictor, and per condition its effect and its drug's similarity to training."""
    truth = asked.truth
    rows = np.searchsorted(truth.contexts, truth.obs["context"].astype(str).to_numpy())
    change = np.asarray(truth.mean, float) - np.asarray(truth.controls["mean"], float)[rows]
    of = pd.DataFrame({"effect": np.sqrt(np.mean(change**2, axis=1))}, index=truth.obs.index)
    of["similarity"] = training_similarity(asked.cells, asked.tested)
    scores = score(Bundle(truth, made), list(MEASURES)).join(of, on="condition")
    return scores.assign(role=scores["method"].map({one.name: one.role for one in made}).fillna("ceiling"))
