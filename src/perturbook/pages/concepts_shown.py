"""What the page "From embedding to concepts" says and shows; the table of what is known of the paper, and what was chosen here."""

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook import data
from perturbook.concepts.embedding_rows import EmbeddingRows, moments
from perturbook.evaluation.manifest import manifest
from perturbook.pages import frame
from perturbook.pages.concepts_arms import SETTINGS, WIDTH, K
from perturbook.pages.concepts_cells import DATA, Embedded
from perturbook.pages.concepts_live import LANGUAGE, REAL, WAYS, Live
from perturbook.pages.html_table import table
from perturbook.pages.present import number
from perturbook.pages.table import ROOT

RECONSTRUCTION = (
    ("Models", "stated", "scGPT and scVI, their cell embeddings; which scVI: not known", "scGPT's architecture, pre-trained here, 128 numbers per cell"),
    ("Layer", "stated, inferred", "the cell embedding; “neurons” are its dimensions", "the same"),
    ("Data", "stated", "two immune atlases; which cells of them: not known", "two small public data sets of blood cells"),
    ("Autoencoder", "stated", "Top-K, by dictionary learning", "Top-K; unit-norm atoms, mean and scale removed"),
    ("K, width, auxiliary loss, learning rate, batch, passes", "not known", "an “expansion factor” is named and not defined", f"K {K}, {WIDTH} concepts, weight 1/32, 2e-4 times the root of 2^14 over the width, batch {SETTINGS.batch}, {SETTINGS.passes} passes"),
    ("Cells for attribution", "not known", "“chosen cells”", "the cells in which the concept is most active, listed"),
    ("Counterfactual", "stated", "the closest cell in the embedding that does not activate the concept", "the same, also among cells of the same type and condition"),
    ("Perturbation", "stated, inferred", "one gene at a time takes the value of the counterfactual cell", "the same; masking beside it"),
    ("Cutoff", "stated", "0.05 on the attribution, without a reason", "the distribution, and a cutoff from a null"),
    ("Enrichment", "stated", "GSEA on attributions with GO terms; sets, permutations, FDR: not known", "the same with sets, seeds and a matched null stated"),
    ("Experts", "stated", "one immunologist, one time, with a tool that was not released", "nothing is claimed of experts"),
    ("Results", "stated", "concepts more interpretable and more stable than neurons; no number could be obtained", "measured on the next pages"),
    ("Opponents", "stated", "neurons alone; no spread over seeds", "neurons, PCA, ICA, NMF, random directions, an untrained autoencoder; five seeds"),
    ("Code", "not found", "no public repository is known", "this book"),
)  # fmt: skip
"""What the paper states, as far as it could be known second-hand, and what was chosen. Source: `concepts.md` section 1."""


def reconstruction_table() -> HTML:
    """Item by item: how it is known, what the paper says, what this book does."""
    names = ("Item", "How it is known", "The paper", "This reconstruction")
    rows = [dict(zip(names, row, strict=True)) for row in RECONSTRUCTION]
    return HTML(table(rows, "A labelled reconstruction: what the paper states, and what was chosen here"))


def gamma_table(cells: list[Embedded]) -> HTML:
    """How far the mean of the training cells is from zero, in units of their spread, per data set."""
    rows = []
    for one in cells:
        found = moments(EmbeddingRows(one.points, one.of("train")))
        rows.append(
            {
                "Data set": one.name,
                "Training cells": int(one.of("train").sum()),
                "Numbers per cell": one.points.shape[1],
                "gamma": number(found.gamma, 2),
                "Norm of the mean": number(float((found.mean**2).sum() ** 0.5), 3),
                "Norm of the standard deviations": number(float(found.variance.sum() ** 0.5), 3),
            }
        )
    return HTML(table(rows, "Mean and spread of the embeddings by the small checkpoint"))


def live_table(live: Live, what: str) -> HTML:
    """What every way of training reached on held-out cells."""
    shown = []
    for row in live.rows.to_dict("records"):
        made = {"Way": row["way"], "Explained variance": number(row["ev"], 3)}
        made |= {name: number(row[name], 2) for name in ("dead_train", "dead_eval", "rare_eval")}
        made["Steps with AuxK"] = number(row["auxk_steps"], 2)
        if pd.notna(row["matched"]):
            made["Cosine to the planted atoms"] = number(row["matched"], 2)
        shown.append(made)
    n = int(live.rows["n_cells"].iloc[0])
    return HTML(table(shown, f"{what}, trained while this page was built; {n} held-out cells"))


def said_of_planted(live: Live) -> Markdown:
    """Centring and the window of AuxK, on planted atoms."""
    by = live.rows.set_index("way")
    ours, plain, woken, window = (by.loc[WAYS[name].title] for name in ("ours", "plain", "woken", "window"))
    gain = ours["ev"] - plain["ev"]
    centring = "Centring pays" if gain > 0 else "Centring does not pay here"
    fired = "never fires" if window["auxk_steps"] == 0 else "fires"
    fewer = woken["dead_eval"] < window["dead_eval"]
    verdict = "fewer" if fewer else "not fewer"
    return Markdown(
        f"**{centring}: {number(ours['ev'], 2)} of the variance is explained, against {number(plain['ev'], 2)}. With a window of "
        f"{LANGUAGE:,} cells AuxK {fired}; the training log then counts {number(100 * window['dead_train'], 0)} % of the latents as "
        f"dead, while {number(100 * window['dead_eval'], 0)} % are active in no held-out cell. With a window of one pass it acts "
        f"in {number(100 * woken['auxk_steps'], 0)} % of the steps, and dead latents are {verdict}: "
        f"{number(100 * woken['dead_eval'], 0)} %.**"
    )


def said_of_cells(live: Live, name: str) -> Markdown:
    """What centring and AuxK do for embedded cells."""
    by = live.rows.set_index("way")
    ours, no_auxk, off = (by.loc[REAL[one].title] for one in ("ours", "no_auxk", "uncentred"))
    helps = "fewer" if ours["dead_eval"] < no_auxk["dead_eval"] else "not fewer"
    better = "more" if ours["ev"] > off["ev"] else "not more"
    return Markdown(
        f"**On {name}, gamma {number(ours['gamma'], 1)}, centred training explains {number(ours['ev'], 2)} and uncentred "
        f"{number(off['ev'], 2)} of the variance, {better}; active in no test cell are {number(100 * ours['dead_eval'], 0)} % and "
        f"{number(100 * off['dead_eval'], 0)} % of the latents. With AuxK dead latents are {helps} than without it "
        f"({number(100 * no_auxk['dead_eval'], 0)} %).**"
    )


def provenance(page: str, **given: int) -> HTML:
    """What the page was made of."""
    sums = {name: data.checksum(name) for name in DATA}
    return frame.footer(manifest(ROOT, page=page, tier="smoke", parameters=given, data=sums))
