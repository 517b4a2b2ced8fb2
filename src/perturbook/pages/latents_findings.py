"""What one would conclude from the latents study, in sentences that follow the numbers."""

import numpy as np
import pandas as pd
from IPython.display import Markdown

from perturbook.evaluation.programs import pruned
from perturbook.evaluation.stability import SURE
from perturbook.pages import latents_simulated
from perturbook.pages.latents import ARMS, EPOCHS, Live
from perturbook.pages.latents_compared import PAIRED, PERMUTED, Agreement, agreement, responding
from perturbook.pages.latents_deposit import ensemble
from perturbook.pages.present import number

ACTIVE = 0.05
"""Nats above which a latent counts as in use. Source: `perturbedvae.md` section 5."""
SAME = 0.5
"""Mean correlation of latents not matched to each other above which they are said to repeat one direction. Source: our choice."""
THRESHOLD = 0.25
"""Least weight of an edge that is drawn. Source: `perturbedvae.md` section 12, of the paper."""


def _read(rows: pd.DataFrame, target: str, quantity: str = "probe", arm: str = PAIRED) -> np.ndarray:
    """What the invariant latents of an arm give of a target, every seed."""
    mine = rows[(rows["arm"] == arm) & (rows["quantity"] == quantity) & (rows["to"] == target)]
    return mine[mine["of"].str.startswith("Invariant")].sort_values("seed")["value"].to_numpy(float)


def probe_verdict(rows: pd.DataFrame) -> str:
    """Both sides of the probe: is the perturbation gone from the invariant latents, and is the biology still there?"""
    u, bound = _read(rows, "Perturbation"), _read(rows, "Perturbation", "probe, null")
    seen, every = int((u > bound).sum()), len(u)
    if seen == 0:
        first = f"The perturbation cannot be read from the invariant latents in any of {every} trainings"
    else:
        first = (
            f"The invariant latents are not invariant: in {seen} of {every} trainings the perturbation can be read from them "
            f"better than permuted labels allow (balanced accuracy {number(u.mean(), 2)} on average, permuted at most "
            f"{number(bound.max(), 2)})"
        )
    kept, lost, blank = [], [], []
    components = rows[(rows["quantity"] == "probe") & rows["of"].str.startswith("PCA")]
    for target in dict.fromkeys(rows.loc[rows["quantity"] == "probe", "to"]):
        if target == "Perturbation":
            continue
        values, null = _read(rows, target), _read(rows, target, "probe, null")
        pca = components.loc[components["to"] == target, "value"].to_numpy(float)
        said = f"{target} ({number(values.mean(), 2)}, against {number(pca.max(initial=-1), 2)} from principal components)"
        if np.isnan(values).any():
            blank.append(target)
        else:
            (kept if (values > null).all() else lost).append(said)
    parts = [f"{first}."]
    if kept:
        parts.append(f"They hold, as correlations: {'; '.join(kept)}.")
    if lost:
        parts.append(f"Not in every training do they hold: {'; '.join(lost)}.")
    if blank:
        parts.append(f"Undefined on these cells: {'; '.join(blank)}.")
    return " ".join(parts)


def alignment_verdict(rows: pd.DataFrame) -> str:
    """What alignment with random controls takes out of the invariant latents, against no alignment."""
    parts = []
    for target in dict.fromkeys(rows.loc[rows["quantity"] == "probe", "to"]):
        with_it, without = (_read(rows, target, arm=arm).mean() for arm in (PAIRED, "unaligned"))
        if not np.isnan([with_it, without]).any():
            parts.append(f"{target} from {number(without, 2)} to {number(with_it, 2)}")
    return (
        f"Alignment with random controls changes what is read from the invariant latents: {'; '.join(parts)}."
    )


def _in_use(rows: pd.DataFrame) -> tuple[str, int, float]:
    """Latents in use, in words over seeds; how many there are; and nats of all together, mean over seeds."""
    by_seed = rows[rows["quantity"] == "nats"].groupby("seed")["value"]
    used = by_seed.agg(lambda values: int((values > ACTIVE).sum()))
    words = str(used.max()) if used.min() == used.max() else f"{used.min()} to {used.max()}"
    return words if used.max() else "none", int(by_seed.size().iloc[0]), float(by_seed.sum().mean())


def prior_verdict(rows: pd.DataFrame, arm: str, words: str) -> str:
    """What one form has in use, and whether its prior, with which it predicts, knows what its cells show."""
    mine = rows[rows["arm"] == arm]
    used, latents, nats = _in_use(mine)
    both = [
        mine[mine["quantity"] == f"effect, {of}"].set_index(["seed", "of", "to"])["value"]
        for of in ("cells", "prior")
    ]
    largest = [number(one.groupby("seed").max().mean(), 2) for one in both]
    alike = number(np.corrcoef(both[0], both[1].loc[both[0].index])[0, 1], 2)
    return (
        f"{words}, {used} of {latents} latents are in use, and all together hold {number(nats, 2)} nats of a cell. The largest effect of a perturbation, "
        f"mean over seeds, is {largest[0]} control SD in held-out cells and {largest[1]} under the prior, with which the model "
        f"predicts; over all targets and latents the two correlate at {alike}."
    )


def compared(one: Agreement, what: str) -> str:
    """Words for agreement between seeds against permuted labels."""
    if np.isnan(one.p):
        return f"{what}: undefined, because a comparison has nothing to compare."
    every = len(one.null)
    mean = f"{number(one.pairs.mean(), 2)} (pairs from {number(one.pairs.min(), 2)} to {number(one.pairs.max(), 2)})"
    if one.better:
        return f"{what} agree between seeds at {mean}, more than under all {every} permutations of the labels (at most {number(one.null.max(), 2)})."
    as_high = int((one.null >= one.pairs.mean()).sum())
    return (
        f"{what} agree between seeds at {mean}, which is **no better than the null**: {as_high} of {every} permutations of the "
        f"labels give as much or more."
    )


def latent_verdict(rows: pd.DataFrame) -> str:
    """Whether responsive latents agree between seeds, and whether single ones can be told from each other at all."""
    found = agreement(rows)
    rest = found["unmatched"].pairs.mean()
    said = f" Latents that are not matched to each other correlate at {number(rest, 2)}"
    said += ": they largely repeat one direction, and which is which is not settled." if rest > SAME else "."
    return compared(found["latents"], "Responsive latents") + said


def program_verdict(rows: pd.DataFrame) -> str:
    """Which targets have a program that permuted labels could not give, and whether programs are stable."""
    sure = [target for target, seeds in responding(rows).items() if seeds >= SURE * ARMS[PAIRED].seeds]
    every = len(responding(rows))
    said = f"{len(sure)} of {every} targets move some latent more than any target does under permuted labels"
    said += (
        f" ({', '.join(sure)}); for the others the strongest latent is a name without content. "
        if sure
        else ". "
    )
    return said + compared(agreement(rows)["programs"], "Programs")


def graph_verdict(rows: pd.DataFrame) -> str:
    """Whether there is a graph at the published threshold, and whether its edges are stable."""
    every = [int(pruned(w, THRESHOLD).sum()) for w in ensemble(rows, PAIRED).edges]
    largest = float(np.abs(ensemble(rows, PAIRED).edges).max())
    if not any(every):
        said = f"At the published threshold of {THRESHOLD} the graph at control is empty in every training; its largest edge is {number(largest, 2)}. "
    else:
        said = f"At the published threshold of {THRESHOLD} the graph at control has {min(every)} to {max(every)} edges. "
    return said + compared(agreement(rows)["edges"], "Weights of edges")


def singular_verdict(rows: pd.DataFrame) -> str:
    """How many leading singular values of the fitted matrix exceed what permuted labels give, in every seed."""
    mine = rows[rows["quantity"] == "singular value"].astype({"of": int})
    least = mine[mine["arm"] == PAIRED].groupby("of")["value"].min()
    most = mine[mine["arm"] == PERMUTED].groupby("of")["value"].max()
    above = int((least > most).cumprod().sum())
    full = "every one of them is positive" if mine["value"].min() > 0 else "some vanish"
    return (
        f"Of {len(least)} singular values of the fitted matrix, the first {above} exceed those of every training on permuted "
        f"labels in every seed. With permuted labels {full}, so that a full rank is no sign of environments that differ."
    )


def verdicts(rows: pd.DataFrame, simulated: pd.DataFrame) -> Markdown:
    """All of them as a list."""
    said = [
        prior_verdict(rows, PAIRED, "With the error averaged over genes"),
        prior_verdict(rows, "summed", "With the error summed over genes"),
        probe_verdict(rows),
        alignment_verdict(rows),
        latent_verdict(rows),
        compared(agreement(rows)["block"], "Invariant latents, up to an affine map,"),
        program_verdict(rows),
        graph_verdict(rows),
        singular_verdict(rows),
        latents_simulated.verdict(simulated),
    ]
    return Markdown("\n".join(f"- {one}" for one in said))


def answer(rows: pd.DataFrame) -> Markdown:
    """The page in two sentences."""
    u, bound = _read(rows, "Perturbation"), _read(rows, "Perturbation", "probe, null")
    side = "can still be read from" if (u > bound).all() else "is not reliably read from"
    found = agreement(rows)
    words = {
        "latents": "responsive latents",
        "programs": "programs",
        "edges": "edges",
        "block": "invariant latents",
    }
    better = [word for key, word in words.items() if found[key].better]
    worse = [word for key, word in words.items() if not found[key].better]
    parts = [f"on {' and '.join(better)} more than on permuted labels"] if better else []
    parts += [f"on {' and '.join(worse)} no more than on permuted labels"] if worse else []
    sure = sum(seeds >= SURE * ARMS[PAIRED].seeds for seeds in responding(rows).values())
    return Markdown(
        f"**On these real cells the perturbation {side} the latents that are called invariant. {sure} of {len(responding(rows))} "
        f"perturbations move a responsive latent more than permuted labels do. Seeds agree {', '.join(parts)}.**"
    )


def same_as_stored(live: Live | None, rows: pd.DataFrame) -> Markdown:
    """Whether the seed trained here gives the deposited effects."""
    if live is None:
        return Markdown("")
    if live.epochs != EPOCHS or live.seed >= ARMS[PAIRED].seeds:
        return Markdown(f"Seed {live.seed} with {live.epochs} epochs is not among the deposited trainings.")
    apart = float(np.abs(ensemble(rows, PAIRED).effects[live.seed] - live.reading.effects["cells"]).max())
    return Markdown(
        f"Trained again here, seed {live.seed} gives the deposited effects to within {apart:.4f} control SD."
    )
