"""Tables and sentences of the attribution page, and the one attribution that is made by hand there."""

import numpy as np
import pandas as pd
import scipy.sparse as sp
from IPython.display import HTML, Markdown

from perturbook import data
from perturbook.concepts.attribution import attribute
from perturbook.concepts.attribution_diagnostics import completeness
from perturbook.concepts.attribution_settings import AttributionSettings
from perturbook.concepts.dictionaries import FixedDictionary
from perturbook.concepts.embedded_cells import Cells
from perturbook.concepts.linear_encoder import LinearEncoder
from perturbook.evaluation.manifest import manifest
from perturbook.pages import frame
from perturbook.pages.concepts_attribution_read import ARMS, Told, concepts, pairs, training_cells
from perturbook.pages.concepts_control import DATA, STIMULATION, TYPE
from perturbook.pages.html_table import Markup, join, table
from perturbook.pages.present import number
from perturbook.pages.table import ROOT

BY_HAND = np.array([[4, 0.5, 0], [1, 0.5, 2]], np.float32)
"""Prototype and counterfactual of the example, three genes. Source: `concepts.md` section 13, check 2."""
SHOWN = 15


def by_hand() -> HTML:
    """The linear example, computed by the same code as everything else."""
    encoder = LinearEncoder(np.array([[1, 0, -1], [0, 1, 0]], float))
    concept = FixedDictionary(np.eye(2), np.eye(2), k=1)
    z = encoder.embed(np.arange(3), BY_HAND).numpy()
    cells = Cells(sp.csr_matrix(BY_HAND), z, ["gene 1", "gene 2", "gene 3"], pd.DataFrame(index=["i", "c"]))
    found, _ = attribute(encoder, concept.double(), cells, [0], AttributionSettings(n=1))
    swaps = found[0].swaps.set_index("gene")
    filled = []
    for at, gene in enumerate(cells.genes):
        there = at in swaps.index
        row = {"Gene": gene, "Prototype": f"{BY_HAND[0, at]:g}", "Counterfactual": f"{BY_HAND[1, at]:g}"}
        for name, title in (("relative", "Relative"), ("absolute", "Absolute"), ("pre", "Pre-activation")):
            row[title] = f"{swaps.loc[at, name]:.2f}" if there else "0, skipped"
        filled.append(row)
    sums = completeness(found[0]).iloc[0]
    total = {
        "Gene": "completeness",
        "Prototype": "",
        "Counterfactual": "",
        "Relative": f"{sums['relative']:.2f}",
    }
    filled.append(total | {"Absolute": "", "Pre-activation": f"{sums['pre']:.2f}"})
    return HTML(table(filled, "A linear encoder of three genes, computed here"))


def pair_table(rows: pd.DataFrame, concept: int) -> HTML:
    """Prototypes and counterfactuals of the chosen concept."""
    told = Told.of(rows, concept)
    return HTML(
        table(pairs(told, training_cells())[:SHOWN], f"Real cells: {told.name}; the first {SHOWN} prototypes")
    )


def gene_table(rows: pd.DataFrame, concept: int) -> HTML:
    """First genes of the chosen concept, with what stands behind each."""
    told = Told.of(rows, concept)
    n = told.value("tested")
    filled = [
        {
            "Gene": gene,
            "Relative": f"{one['relative']:.3f}",
            "Standard error": f"{one['error']:.3f}",
            "Pre-activation": f"{one['pre']:.3f}",
            "Pairs in which it differs": int(one["tested"]),
            "Changed": f"{one['value change']:.0%}",
            "Removed": f"{one['removal']:.0%}",
            "Added": f"{one['addition']:.0%}",
            "Same sign": f"{one['same_sign']:.0%}",
        }
        for gene, one in told.genes.head(SHOWN).iterrows()
    ]
    return HTML(table(filled, f"Real cells: {told.name}; first {SHOWN} of {n:,.0f} tested genes"))


def diagnostics_table(rows: pd.DataFrame) -> HTML:
    """Every diagnostic of every concept."""
    filled = []
    for one in concepts(rows):
        low, mid, high = (one.value("completeness", "relative", of) for of in ("0.25", "0.5", "0.75"))
        filled.append(
            {
                "Concept": one.concept,
                "Best at": "stimulation" if one.label == STIMULATION else one.label,
                "Pairs": int(one.table("pair")["value"].notna().sum()),
                "Joint swap, furthest from 1": f"{one.value('joint swap', 'furthest from 1'):.1e}",
                "Identity swap, noise": f"{one.value('noise', 'largest'):.1e}",
                "Completeness, median": _range(mid, low, high),
                "Completeness of pre-activation": number(one.value("completeness", "pre", "0.5"), 2),
                "Overtaken": f"{one.value('overtaken'):.0%}",
                "Genes above 0.05": int(one.value("above", "concept", "0.05")),
                "Null cutoff": number(one.null, 3),
                "Genes above it": int(one.table("above").query("of == 'null'")["value"].iloc[0]),
                "Area, attribution": number(one.areas["attribution"], 2),
                "Area, random": number(one.areas["random, mean"], 2),
            }
        )
    return HTML(table(filled, "Real cells: every concept of this page and its diagnostics"))


def _range(mid: float, low: float, high: float) -> Markup:
    return join(number(mid, 2), Markup("<small>"), f"{low:.2f} to {high:.2f}", Markup("</small>"))


def audit_table(rows: pd.DataFrame) -> HTML:
    """What else differs between the cells of a pair, and whether genes change with the choice of pairs."""
    filled = [
        {
            "Concept": one.concept,
            "Same stimulation, pairs (any two)": _both(one, STIMULATION),
            "Same type, pairs (any two)": _both(one, TYPE),
            "Distance over mean distance": number(one.value("distance ratio", "median"), 2),
            "Ribosomal in top 50 (tested)": _class(one, "ribosomal"),
            "Dissociation in top 50 (tested)": _class(one, "dissociation"),
            "Rank agreement, any type": number(one.value("rank agreement", "match"), 2),
            "Rank agreement, middle prototypes": number(one.value("rank agreement", "middle"), 2),
            "Rank agreement, removal": number(one.value("rank agreement", "removal"), 2),
            "Off-manifold, median": number(one.value("off-manifold", "single swap", "0.5"), 2),
        }
        for one in concepts(rows)
    ]
    return HTML(table(filled, "Real cells: audit of the pairs of every concept"))


def _both(one: Told, label: str) -> str:
    return f"{one.value('equal label', label, 'pairs'):.0%} ({one.value('equal label', label, 'any'):.0%})"


def _class(one: Told, name: str) -> str:
    return f"{one.value('gene class', name, 'top'):.0%} ({one.value('gene class', name, 'tested'):.0%})"


def facts(rows: pd.DataFrame, concept: int) -> dict[str, object]:
    """Numbers for the text."""
    told = Told.of(rows, concept)
    return {
        "n_concepts": len(concepts(rows)),
        "name": told.name,
        "n_pairs": int(told.table("pair")["value"].notna().sum()),
        "first_genes": ", ".join(told.genes.index[:5]),
        "same_stimulation": f"{told.value('equal label', STIMULATION, 'pairs'):.0%}",
    }


def cutoff_verdict(told: Told) -> str:
    """The published cutoff against the one that negative controls give."""
    at = int(told.value("above", "concept", "0.05"))
    null, over = told.null, int(told.table("above").query("of == 'null'")["value"].iloc[0])
    word = "stricter" if null > 0.05 else "more lenient"
    return (
        f"The published cutoff of 0.05 keeps {at} of {told.value('tested'):,.0f} tested genes; the 99th percentile of the negative controls is "
        f"{number(null, 3)}, {word}, and keeps {over}."
    )


def completeness_verdict(told: Told) -> str:
    """Whether single swaps add up to the joint swap, in the code and in the pre-activation."""
    mid, pre = (told.value("completeness", kind, "0.5") for kind in ("relative", "pre"))
    if 0.8 <= pre <= 1.2 and mid < 0.8:
        why = (
            "genes act nearly independently, and what the code lacks is its last step: in the counterfactual the pre-activation is still "
            "there, and other concepts have overtaken it"
        )
    elif pre < 0.8:
        why = "genes stand in for each other, so that no single one takes the concept away"
    elif pre > 1.2:
        why = "genes act together, so that what each takes away alone is more than all take away at once"
    else:
        why = "genes act nearly independently"
    return f"Single swaps add up to {number(mid, 2)} of the joint swap in the median pair, and to {number(pre, 2)} of the pre-activation: {why}."


def deletion_verdict(told: Told) -> str:
    """Whose order takes the concept away soonest."""
    areas = told.areas.drop(["random, mean", "random, lowest"]).sort_values()
    first, own = areas.index[0], areas["attribution"]
    low = told.areas["random, lowest"]
    beats = "below" if own < low else "not below"
    best = (
        "the lowest of all orders"
        if first == "attribution"
        else f"above {ARMS[first].lower()} ({number(areas.iloc[0], 3)})"
    )
    return (
        f"The deletion area of attribution is {number(own, 3)}, {best}; it is {beats} that of every one of 20 random orders of like expression "
        f"(lowest {number(low, 3)}), and DE has {number(areas['DE'], 3)}."
    )


def verdicts(rows: pd.DataFrame, concept: int) -> Markdown:
    """What one may say of the chosen concept, and of all."""
    told = Told.of(rows, concept)
    every = concepts(rows)
    lower = sum(one.areas["attribution"] < one.areas["random, lowest"] for one in every)
    de = sum(one.areas["attribution"] < one.areas["DE"] for one in every)
    said = [
        f"{told.name}: {cutoff_verdict(told)}",
        completeness_verdict(told),
        deletion_verdict(told),
        f"Of {len(every)} concepts, attribution has a smaller deletion area than every random order in {lower}, and than DE in {de}.",
        f"In {told.value('equal label', STIMULATION, 'pairs'):.0%} of its pairs both cells have the same stimulation.",
    ]
    return Markdown("\n".join(f"- {one}" for one in said))


def answer(rows: pd.DataFrame, concept: int) -> Markdown:
    """The page in a sentence."""
    told = Told.of(rows, concept)
    return Markdown(
        f"**{told.name}: its first genes are {', '.join(told.genes.index[:5])}. {cutoff_verdict(told)}**"
    )


def provenance(page: str, concept: int) -> HTML:
    """What the page was made of."""
    sums = {DATA: data.checksum(DATA)}
    return frame.footer(manifest(ROOT, page=page, tier="book", parameters={"concept": concept}, data=sums))
