"""`results/concepts-control.csv`: what came out of the positive control, one number per row.

`perturbook train concepts-control` makes it, and the planted programs of `planted_programs.py`.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from perturbook import data
from perturbook.concepts.attribution import ConceptAttribution
from perturbook.concepts.encoder_of import BACKBONES
from perturbook.errors import ConfigError, InputError
from perturbook.pages import planted_programs_deposit, trained_table
from perturbook.pages.concepts_control import (
    DATA,
    PAGE,
    PROTOTYPES,
    SET,
    STIMULATION,
    TYPE,
    Sets,
    panel_auroc,
)
from perturbook.pages.concepts_control_arms import (
    ARMS,
    BATCH,
    SAES,
    SCREENS,
    Chosen,
    Control,
    autoencoders,
    ordered,
    plain,
)
from perturbook.pages.table import ROOT

DEPOSIT = ROOT / "results" / "concepts-control.csv"
COLUMNS = ["backbone", "arm", "quantity", "of", "value"]
KEPT = 60
"""Genes of a ranking that are kept; the others are counted."""
Row = tuple[str, str, object, float]


def make(names: Sequence[str] = (), to: Path = DEPOSIT) -> Iterator[str]:
    """Run the control with every backbone, or those named, store what came out, and say so line by line.

    Args:
        names: some of `BACKBONES`, or "planted" for the planted programs; all where empty. Rows of others are kept.
        to: the deposit.

    Raises:
        ConfigError: an unknown name. DataUnavailable: the cells cannot be had.
    """
    known = [*BACKBONES, "planted"]
    if unknown := sorted(set(names) - set(known)):
        raise ConfigError(f"Unknown part {unknown[0]!r}. Known: {', '.join(known)}.")
    chosen = names or known
    if real := [name for name in BACKBONES if name in chosen]:
        yield from _controls(real, to)
    if "planted" in chosen:
        yield from planted_programs_deposit.make(to.with_name(planted_programs_deposit.DEPOSIT.name))


def _controls(names: Sequence[str], to: Path) -> Iterator[str]:
    adata = data.load(DATA)
    kept = pd.read_csv(to) if to.is_file() else pd.DataFrame(columns=COLUMNS)
    for name in names:
        rows = []
        for arm, *row in results(Control.of(name, adata), name):
            if not rows or rows[-1][1] != arm:
                yield f"{name}: {arm}"
            rows.append((name, arm, *row))
        new = pd.DataFrame(rows, columns=COLUMNS)
        others = kept[kept["backbone"] != name]
        kept = pd.concat([others, new], ignore_index=True) if len(others) else new
        kept = condensed(kept, Sets.of(list(adata.var_names), data.load("geneset-hallmark")[SET]))
        settings = {"autoencoders": SAES, "batch": BATCH, "prototypes": PROTOTYPES}
        settings["verified"] = {one: screen.lead for one, screen in SCREENS.items()}
        trained_table.write(kept, to, PAGE, DATA, settings)
    yield f"{to.name}: {len(kept):,} rows"


def condensed(rows: pd.DataFrame, sets: Sets) -> pd.DataFrame:
    """Of every ranking the first `KEPT` genes and what is counted over all of them; rows that are condensed stay as they are.

    The genes of the panel and of the Hallmark set that are measured are told once, as an arm "genes" without a backbone.
    """
    ranked = rows["quantity"] == "score"
    parts = [rows[~ranked & (rows["arm"] != "genes")]]
    for (name, arm), own in rows[ranked].groupby(["backbone", "arm"], sort=False):
        done = ((rows["backbone"] == name) & (rows["arm"] == arm) & (rows["quantity"] == "tested")).any()
        parts.append(own.head(KEPT))
        if not done:
            scores = own.set_index("of")["value"].astype(float)
            told = {("tested", ""): len(scores), ("counted as zero", ""): int((scores == 0).sum())}
            told |= {
                ("set auroc", of): panel_auroc(scores, getattr(sets, of)) for of in ("panel", "hallmark")
            }
            told |= {
                ("set tested", of): scores.index.isin(getattr(sets, of)).sum() for of in ("panel", "hallmark")
            }
            made = [(name, arm, quantity, of, value) for (quantity, of), value in told.items()]
            parts.append(pd.DataFrame(made, columns=COLUMNS))
    genes = [
        ("", "genes", of, gene, 1.0) for of in ("panel", "hallmark") for gene in sorted(getattr(sets, of))
    ]
    return pd.concat([*parts, pd.DataFrame(genes, columns=COLUMNS)], ignore_index=True)


def results(control: Control, name: str) -> Iterator[Row]:
    """Everything that is read from one backbone: arm, quantity, of what, value."""
    saes = autoencoders(control.z, control.part == "train", name)
    best = control.choose(saes, control.stimulated, "stimulation")
    yield from _cells(control)
    for number, valid, test in control.best_three(best.dictionary):
        yield "sae", "best three, validation", number, valid
        yield "sae", "best three, test", number, test
    yield "sae", "k", "", best.dictionary.k
    for of, value in control.probe().items():
        yield "probe", "auroc", of, value
    found = control.attribute(best)
    yield from _concept("sae", control, best, found)
    gradient = found.scores.loc[_tested(found), "first_order"]
    yield from _genes("gradient", ordered(gradient))
    active = control.codes(best.dictionary)[:, best.concept] > 0
    tested = _scores(found).index
    for arm, cells in (("de", control.stimulated), ("de_concept", active)):
        every = control.differential(cells)
        yield from _genes(arm, every)
        yield from _genes(f"{arm}_tested", ordered(every[every.index.isin(tested)]))
    for arm, of in plain(control.z, control.part == "train", best.dictionary.k).items():
        chosen = control.choose([of], control.stimulated, "stimulation")
        yield from _concept(arm, control, chosen, control.attribute(chosen))
    other, positive = control.most_typical(best.dictionary, best.concept)
    yield "unrelated", "label", other.label, 1.0
    yield from _concept("unrelated", control, other, control.attribute(other, (STIMULATION,)), positive)


def _concept(
    arm: str, control: Control, chosen: Chosen, found: ConceptAttribution, positive: np.ndarray | None = None
) -> Iterator[Row]:
    """What is told of a concept: how well it separates, its pairs, its genes, its sets."""
    yield arm, "concept", "", chosen.concept
    for of, value in control.measured(chosen, positive).items():
        yield arm, "auroc", of, value
    obs, pairs = control.training.obs, found.pairs.dropna(subset=["counterfactual"])
    ends = [pairs[end].to_numpy(int) for end in ("prototype", "counterfactual")]
    for column in (TYPE, STIMULATION):
        labels = obs[column].to_numpy()
        yield arm, "pairs with equal label", column, float(np.mean(labels[ends[0]] == labels[ends[1]]))
    yield arm, "pairs", "", len(pairs)
    yield arm, "overtaken", "", found.overtaken
    yield arm, "ranked by", found.rank_by, 1.0
    scores = _scores(found)
    yield from _genes(arm, scores)
    for of, value in enrichment(scores).items():
        yield arm, "nes", of, value


def _tested(found: ConceptAttribution) -> np.ndarray:
    return (found.scores["status"] != "not tested").to_numpy()


def _scores(found: ConceptAttribution) -> pd.Series:
    """Scores of the tested genes, highest first; one that the screen did not let through counts as 0, which no derivative is."""
    tested = found.scores[_tested(found)]
    return ordered(tested[found.rank_by].where(tested["status"] == "exact", 0.0))


def _genes(arm: str, scores: pd.Series) -> Iterator[Row]:
    for gene, value in scores.items():
        yield arm, "score", gene, float(np.float32(value))


def _cells(control: Control) -> Iterator[Row]:
    for part in ("train", "validation", "test", "held out"):
        yield "cells", part, "", int((control.part == part).sum())
    for one in control.major():
        yield "cells", "major", one, 1.0


def enrichment(scores: pd.Series, permutations: int = 1000) -> pd.Series:
    """NES of the Hallmark sets of 10 to 500 tested genes, by set, highest first."""
    import gseapy

    made = gseapy.prerank(
        scores.rename_axis("gene").reset_index(),
        dict(data.load("geneset-hallmark")),
        min_size=10,
        max_size=500,
        permutation_num=permutations,
        weight=1,
        seed=0,
        threads=1,
        outdir=None,
        verbose=False,
    )
    return made.res2d.set_index("Term")["NES"].astype(float)


def stored(path: Path = DEPOSIT) -> pd.DataFrame:
    """The deposit; raises InputError where it is missing, lacks a backbone or an arm, or was made from other cells."""
    trained_table.read(path, COLUMNS, PAGE, DATA)
    rows = pd.read_csv(path, dtype={"of": str, "backbone": str}).fillna({"of": "", "backbone": ""})
    arms = {"cells", "sae", "probe", "gradient", "de", "de_concept", "unrelated", *ARMS}
    for name in BACKBONES:
        if lacking := sorted(arms - set(rows.loc[rows["backbone"] == name, "arm"])):
            raise InputError(
                f"{path} lacks {lacking[0]} of {name}; make it with `perturbook train {PAGE} {name}`."
            )
    return rows
