"""Tables of the latents page on single trainings: information, probes, programs, what a latent moves."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML

from perturbook import data
from perturbook.data.norman2019_mini import NAME
from perturbook.data.simulated_latent import NAME as SIMULATED
from perturbook.evaluation.manifest import manifest
from perturbook.evaluation.programs import program_map
from perturbook.evaluation.stability import SURE
from perturbook.pages import frame, latents_simulated
from perturbook.pages.html_table import Markup, join, table
from perturbook.pages.latents import ARMS, Live, Reading
from perturbook.pages.latents_compared import PAIRED, PERMUTED, largest_permuted, names, responding
from perturbook.pages.latents_deposit import ensemble
from perturbook.pages.latents_findings import ACTIVE, THRESHOLD
from perturbook.pages.present import number
from perturbook.pages.table import ROOT

ABSENT = HTML(
    frame.admonition("note", "Not shown", "The cells could not be fetched when the book was built.")
)


def facts(rows: pd.DataFrame) -> dict[str, int | float]:
    """Numbers for the text, by the name under which the page uses them."""
    mine = rows[(rows["arm"] == PAIRED) & (rows["seed"] == 0)]
    measured = mine[mine["quantity"] == "measured"].set_index("of")["value"].astype(int).to_dict()
    targets = mine.loc[mine["quantity"] == "effect, cells", "of"].nunique()
    responsive = int(((mine["quantity"] == "nats") & (mine["of"] == "responsive")).sum())
    null = ARMS[PERMUTED]
    return {
        **{"n_targets": targets, "n_conditions": targets + 1, "needed": 2 * responsive},
        **{
            "n_genes": measured["genes"],
            "measured_s": measured["S phase"],
            "measured_g2m": measured["G2 and M"],
        },
        **{"measured_haemoglobin": measured["Haemoglobin"], "threshold": THRESHOLD, "sure": SURE},
        **{"n_draws": null.draws, "n_permuted": null.draws * null.seeds, "least_p": 1 / (1 + null.draws)},
        **{"n_simulated": latents_simulated.SEEDS, "simulated_epochs": latents_simulated.EPOCHS},
    }


def mean_and_range(values: Sequence[float], digits: int = 2) -> Markup:
    """The mean of the defined values, and from where to where they reach below it; "undefined" where none is defined."""
    values = np.asarray(values, float)
    known = values[~np.isnan(values)]
    if not len(known):
        return Markup("undefined")
    some = "" if len(known) == len(values) else f", {len(known)} of {len(values)} defined"
    below = (
        "" if len(values) == 1 else f"{number(known.min(), digits)} to {number(known.max(), digits)}{some}"
    )
    return join(number(known.mean(), digits), Markup("<small>"), below, Markup("</small>"))


def information_table(rows: pd.DataFrame) -> HTML:
    """Nats that latents hold of a single cell, for each arm with measured labels."""
    filled = []
    for name in measured_arms():
        mine = rows[(rows["arm"] == name) & (rows["quantity"] == "nats")]
        row = {"Model": ARMS[name].title}
        for block in ("responsive", "invariant"):
            own = mine[mine["of"] == block]
            per_seed = own.groupby("seed")["value"]
            row[f"{block.capitalize()}, nats in all"] = mean_and_range(per_seed.sum())
            used = ", ".join(str(int(n)) for n in per_seed.agg(lambda values: (values > ACTIVE).sum()))
            row[f"{block.capitalize()}, in use of {per_seed.size().iloc[0]}"] = used
        filled.append(row)
    return HTML(
        table(
            filled,
            f"What latents hold of one held-out cell (real cells): mean and range over seeds; in use: above {ACTIVE} nats, every seed",
        )
    )


def measured_arms() -> list[str]:
    """Arms that were trained on the labels as measured."""
    return [name for name, arm in ARMS.items() if not arm.draws]


def probe_table(live: Live | None) -> HTML:
    """Every probe of the seed that was trained here, with its interval, and the interval of permuted truth."""
    if live is None:
        return ABSENT
    targets = list(dict.fromkeys(target for _, target in live.probes))
    filled = []
    for name in dict.fromkeys(points for points, _ in live.probes):
        row = {"Read from (latents)": name}
        for target in targets:
            one = live.probes[name, target].interval()
            row[target] = _with_bounds(one.mean, one.low, one.high)
        filled.append(row)
    row = {"Read from (latents)": "Permuted truth"}
    for target in targets:
        every = np.array([live.probes[name, target].bounds for name, t in live.probes if t == target])
        row[target] = _with_bounds(np.nan, every[:, 0].min(), every[:, 1].max(), show=False)
    return HTML(
        table(
            [*filled, row],
            f"Real held-out cells, seed {live.seed}: balanced accuracy for the perturbation, correlation for all others",
        )
    )


def _with_bounds(value: float, low: float, high: float, show: bool = True) -> Markup:
    if np.isnan(low):
        return Markup("undefined")
    bounds = join(Markup("<small>"), f"[{number(low, 2)}, {number(high, 2)}]", Markup("</small>"))
    return join(number(value, 2), bounds) if show else bounds


def arms_table(rows: pd.DataFrame) -> HTML:
    """What is read from the invariant latents of every arm with measured labels, every seed; and from as many components."""
    mine = rows[rows["quantity"] == "probe"]
    targets = list(dict.fromkeys(mine["to"]))
    filled = []
    for name in measured_arms():
        own = mine[(mine["arm"] == name) & mine["of"].str.startswith("Invariant")]
        filled.append({"Invariant latents of": ARMS[name].title} | _columns(own, targets))
    components = sorted(set(mine.loc[mine["of"].str.startswith("PCA"), "of"]), key=len)[-1]
    filled.append(
        {"Invariant latents of": f"For comparison: {components}"}
        | _columns(mine[mine["of"] == components], targets)
    )
    return HTML(table(filled, "Real held-out cells: mean and range over seeds"))


def _columns(rows: pd.DataFrame, targets: list[str]) -> dict[str, Markup]:
    made = {}
    for target in targets:
        values = rows.loc[rows["to"] == target, "value"].to_numpy(float)
        made[target] = mean_and_range(values)
    return made


def program_table(live: Live | None, rows: pd.DataFrame) -> HTML:
    """Strongest latent of every target, its margin, and whether it moves more than any target does under permuted labels."""
    targets, effects = shown_effects(live, rows)
    program, margin = program_map(effects)
    called, beyond = names(targets, effects), responding(rows)
    filled = [
        {
            "Target": target,
            "Program (strongest latent)": called[program[k]],
            "Effect, control SD": number(effects[k].max(), 2),
            "Margin to the second": number(margin[k], 2),
            "Above all permuted effects": f"{beyond[target]} of {ARMS['paired'].seeds} seeds",
        }
        for k, target in enumerate(targets)
    ]
    limit = number(largest_permuted(rows), 2)
    return HTML(
        table(filled, f"Real cells, seed {_seed(live)}; the largest permuted effect is {limit} control SD")
    )


def shown_effects(live: Live | None, rows: pd.DataFrame) -> tuple[list[str], np.ndarray]:
    """Targets, and effects `(targets, latents)`, of the seed trained here, or of seed 0 of the deposit."""
    mine = rows[(rows["arm"] == PAIRED) & (rows["quantity"] == "effect, cells")]
    if live is None:
        return list(dict.fromkeys(mine["of"])), ensemble(rows, PAIRED).effects[0]
    return live.reading.targets, live.reading.effects["cells"]


def _seed(live: Live | None) -> int:
    return 0 if live is None else live.seed


def latent_table(live: Live | None) -> HTML:
    """What each latent of the seed trained here moves: targets that it is strongest for, and genes in the decoder."""
    if live is None:
        return ABSENT
    one: Reading = live.reading
    effects, genes = one.effects["cells"], live.screen.cells.var_names.to_numpy(str)
    program, filled = program_map(effects)[0], []
    for j, name in enumerate(names(one.targets, effects)):
        top = np.argsort(-np.abs(one.responses[j]), kind="stable")[:4]
        filled.append(
            {
                "Latent": name,
                "Targets": ", ".join(t for t, p in zip(one.targets, program, strict=True) if p == j)
                or "none",
                "Genes that move most, per SD of the latent": ", ".join(
                    f"{genes[g]} {one.responses[j, g]:+.2f}" for g in top
                ),
            }
        )
    return HTML(
        table(filled, f"Real cells, seed {live.seed}: programs, and the decoder's answer in lognorm units")
    )


def provenance(page: str, seed: int, epochs: int) -> HTML:
    """What the page was made of."""
    sums = {name: data.checksum(name) for name in (NAME, SIMULATED)}
    parameters = {"seed": seed, "epochs": epochs}
    return frame.footer(manifest(ROOT, page=page, tier="book", parameters=parameters, data=sums))
