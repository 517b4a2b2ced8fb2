"""Tables of the ablations: what each arm is for, scores with their error over seeds, and what is not stored."""

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook import data
from perturbook.evaluation import CEILING, METRICS
from perturbook.evaluation.manifest import manifest
from perturbook.models.scdca import LIMIT
from perturbook.pages import frame
from perturbook.pages.ablations import ADAPTER, ERROR, Ablations
from perturbook.pages.ablations_reading import gain, in_words
from perturbook.pages.html_table import Markup, join, table
from perturbook.pages.present import cell, number
from perturbook.pages.standings import title
from perturbook.pages.table import ROOT

PURPOSE = {
    "scdca": "the form that this book takes for the paper's",
    "scdca_head_only": "what the frozen model gives without any adapter",
    "scdca_static": "what an adapter gives that knows no drug",
    "scdca_scale_shift": "whether the drug should also scale",
    "scdca_shuffled": "each drug has another one's molecule, always: a name without its chemistry",
    "scdca_permuted": "trained right, then asked with another drug's molecule",
    "scdca_random": "each drug has a random vector: a name and nothing else",
    "scdca_no_dose": "what the dose is worth",
    "scdca_up": "the other place for the drug term",
    "scdca_no_residual": "the literal reading of the paper's equation",
    "scdca_attention": "the other sublayer",
    "scdca_both": "both sublayers at half the width",
    "scdca_r4": "how narrow it may be",
    "scdca_r8": "how narrow it may be",
    "scdca_r16": "how narrow it may be",
    "scdca_linear_generator": "one map of the molecule for every layer, in place of a shared one",
    "scdca_rdkit": "another description of the molecule, which is not ranked here",
    "scdca_linear": "a head that does not start at the control profile",
    "scdca_lora": "another method of equal budget",
    "scdca_full": "all weights trained",
    "scdca_random_backbone": "the same adapter on weights that have seen no cell",
}
"""What each arm is for. Source: scdca.md section 7."""


def banner(shown: Ablations) -> HTML:
    """Say first that the cells are simulated, where they are."""
    return frame.notices(data.DATASETS[shown.values["data"]].synthetic)


def screen(shown: Ablations) -> Markdown:
    """How large the screen is: drugs, contexts, doses and cells of what is tested, and the seeds."""
    tested = shown.scores.drop_duplicates(["setting", "seed", "condition"])
    each = shown.top.drop_duplicates(["setting", "seed", "condition"]).groupby("setting", sort=False).size()
    counts = ", ".join(f"{n} ({in_words(setting)})" for setting, n in each.items())
    doses = sorted(tested["dose_um"].dropna().unique())
    seeds = len(shown.values["seeds"])
    pooled = f"Over {seeds} seeds" if seeds > 1 else "With one seed"
    counted = ", one asked about under several seeds counted each time," if seeds > 1 else ""
    return Markdown(
        f"The conditions tested are of {tested['perturbation'].nunique()} drugs, "
        f"{tested['context'].nunique()} lines and {len(doses)} doses ({', '.join(f'{d:g}' for d in doses)} µM), with a "
        f"median of {tested['n_true'].median():.0f} measured cells. {pooled} the conditions{shown.where}{counted} number {counts}."
    )


def budget(shown: Ablations, arm: str) -> str:
    """Share of the parameters that an arm trains at whole-human size, and whether that is over the paper's limit."""
    if arm not in shown.records:
        return "no training is stored"
    share = shown.records[arm]["trainable_share"]
    return f"{100 * share:.3g} %" + (", over budget" if share > LIMIT else "")


def arms_table(shown: Ablations) -> HTML:
    """Every arm: what it is for, and its share of trained parameters."""
    rows = [
        {
            "Arm": title(arm),
            "Shows": PURPOSE.get(arm, ""),
            "Trained, of whole-human scGPT": budget(shown, arm),
        }
        for arm in shown.values["stored"]
    ]
    return HTML(table(rows, f"Arms of the study; more than {LIMIT:.0%} trained is over budget"))


def score_table(shown: Ablations, metric: str) -> HTML:
    """Predictors x settings on one metric: mean over conditions and seeds with its standard error over seeds."""
    rows, means = [], shown.means
    for method in [*shown.methods, CEILING]:
        found = [(metric, setting, method) for setting in shown.settings]
        seeds = [int(means["seeds"].get(key, 0)) for key in found]
        few = str(seeds[0]) if len(set(seeds)) == 1 else f"{min(seeds)} to {max(seeds)}"
        values = {in_words(key[1]): _score(shown, key) for key in found}
        rows.append({"Predictor": title(method), "Seeds": few, **values})
    caption = (
        f"“{METRICS[metric].title}”{shown.where}, {'lower' if metric == ERROR else 'higher'} is better: mean over "
        "conditions and seeds, with the standard error over seeds"
    )
    return HTML(table(rows, caption))


def _score(shown: Ablations, key: tuple[str, str, str]) -> Markup:
    """One cell: mean, error over seeds, and what is missing from it."""
    if key not in shown.means.index:
        missing = shown.absent[(shown.absent["setting"] == key[1]) & (shown.absent["method"] == key[2])]
        stored = key[2] in shown.values["stored"]
        return Markup("undefined" if missing.empty else "not stored" if stored else "not applicable")
    row = shown.means.loc[key]
    notes = [] if pd.isna(row["se"]) else [f"± {number(row['se'])}"]
    if row["seeds"] < len(shown.values["seeds"]):
        notes.append(f"{row['seeds']:.0f} of {len(shown.values['seeds'])} seeds")
    if row["n_defined"] < row["n_total"]:
        notes.append(f"{row['n_defined']:.0f} of {row['n_total']:.0f} conditions")
    return join(number(row["mean"]), Markup("<small>"), " " + ", ".join(notes), Markup("</small>"))


def difference_table(shown: Ablations, metric: str, resamples: int = 10_000) -> HTML:
    """How much better the adapter is than each other predictor, paired over seeds and conditions, with intervals."""
    rows = []
    for other in shown.methods:
        if other != ADAPTER:
            found = {setting: gain(shown, metric, setting, other, resamples) for setting in shown.settings}
            if any(row["n_defined"] for row in found.values()):
                shown_cells = {
                    in_words(setting): cell(row, 3) if row["n_defined"] else Markup("–")
                    for setting, row in found.items()
                }
                rows.append({"Adapter against": title(other), **shown_cells})
    if not rows:
        return HTML(
            "<p>No other predictor can be paired with the adapter: its predictions are not stored.</p>"
        )
    caption = f"Gain of the adapter on “{METRICS[metric].title}”{shown.where}, paired; positive: the adapter is better"
    return HTML(table(rows, caption))


def dose_table(shown: Ablations) -> HTML:
    """Error by setting and dose: no change, the best simple predictor of the setting, the adapter, and the oracle."""
    rows = shown.scores[shown.scores["metric"] == ERROR]
    by = rows.groupby(["setting", "dose_um", "method", "seed"], sort=False)["value"].mean()
    by, filled = by.groupby(level=["setting", "dose_um", "method"], sort=False).mean(), []
    for setting in shown.settings:
        best = shown.best_simple(ERROR, setting)
        for dose in sorted(rows["dose_um"].dropna().unique()):
            values = {
                name: number(by.get((setting, dose, method), float("nan")))
                for name, method in {
                    title("no_change"): "no_change",
                    "Best simple": best,
                    "Adapter": ADAPTER,
                    "Oracle": "oracle",
                }.items()
            }
            named = {"Best simple is": title(best) if best else "none"}
            filled.append({"Setting": in_words(setting), "Dose (µM)": f"{dose:g}", **values, **named})
    return HTML(table(filled, f"“{METRICS[ERROR].title}” by dose, mean over conditions and seeds"))


def missing_table(shown: Ablations) -> HTML:
    """What has no prediction, where and why: arms that are not stored, and floors that are not defined in a setting."""
    absent = shown.absent.assign(
        reason=shown.absent["reason"].str.replace(r" (and|for) seed \d+", "", regex=True)
    )
    arms = absent["method"].isin(shown.values["stored"])
    # a floor names one drug or line per seed; the first stands for all
    first = absent.groupby(["method", "setting"])["reason"].transform("first")
    absent["reason"] = absent["reason"].where(arms, first)
    rows: dict[tuple[str, str], list[str]] = {}  # where and why -> predictors, which share a row
    for (method, reason), mine in absent.groupby(["method", "reason"], sort=False):
        where = [
            in_words(setting)
            + (
                ""
                if len(one) == len(shown.values["seeds"])
                else f" (seed {', '.join(map(str, one['seed']))})"
            )
            for setting, one in mine.groupby("setting", sort=False)
        ]
        rows.setdefault((", ".join(where), reason), []).append(title(method))
    if not rows:
        return HTML("<p>Nothing: every predictor has a prediction in every setting and for every seed.</p>")
    filled = [
        {"Predictor": "; ".join(names), "Where": where, "Why": why} for (where, why), names in rows.items()
    ]
    return HTML(table(filled, "Without a prediction"))


def audit_table(shown: Ablations) -> HTML:
    """The audit of every setting and seed: what was held out, cells per part, checks passed."""
    rows = [
        {
            "Setting": in_words(entry["setting"]),
            "Seed": entry["seed"],
            "Held out": ", ".join(entry["held_out"][:2])
            + (f" and {len(entry['held_out']) - 2} more" if len(entry["held_out"]) > 2 else ""),
            "Training": entry["counts"]["train"],
            "Test": entry["counts"]["test"],
            "Conditions": entry["counts"]["conditions"],
            "Checks passed": len(entry["checks"]),
        }
        for entry in shown.audits
    ]
    return HTML(table(rows, "Audited splits, cells per part"))


def provenance(shown: Ablations) -> HTML:
    """What the page was made of, and the command that repeats it."""
    name = shown.values["data"]
    given = {key: value for key, value in shown.values.items() if key not in ("page", "stored")}
    about = manifest(ROOT, page=shown.values["page"], parameters=given, data={name: data.checksum(name)})
    stored = f"{len(shown.made)} of {len(shown.values['stored'])} arms read from stored predictions; scores made here"
    return frame.footer(about, stored)
