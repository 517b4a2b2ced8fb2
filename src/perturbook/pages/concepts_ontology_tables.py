"""Tables of the page on ontology: one concept's sets, shares beside nulls, what the library decides."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from IPython.display import HTML

from perturbook import data
from perturbook.data.kang2018_mini import NAME
from perturbook.evaluation.manifest import manifest
from perturbook.pages import frame
from perturbook.pages.concepts_ontology import ARMS, TESTS, Compared, Live
from perturbook.pages.concepts_ontology_findings import called
from perturbook.pages.concepts_ontology_study import LATENTS, PERMUTED, PROTOTYPES, QUANTILE, K
from perturbook.pages.html_table import table
from perturbook.pages.present import number
from perturbook.pages.table import ROOT

ABSENT = HTML(
    frame.admonition("note", "Not shown", "The gene sets could not be fetched when the book was built.")
)
ROWS, GENES = 10, 8
"""Sets shown of one concept, and genes named of each."""


def facts(rows: pd.DataFrame, chosen: Sequence[int]) -> dict[str, int | float]:
    """Numbers for the text, by the name under which the page uses them."""
    tested = rows[rows["concept"].isin(chosen)].groupby("concept").size()
    return {
        "n_concepts": len(chosen),
        "n_latents": LATENTS,
        "n_active": K,
        "n_prototypes": PROTOTYPES,
        "n_permuted": PERMUTED,
        "quantile": QUANTILE,
        "least_tested": int(tested.min()),
        "most_tested": int(tested.max()),
    }


def live_table(live: Live | None) -> HTML:
    """The first and the last sets of one concept."""
    if live is None:
        return ABSENT
    every = live.made.shown()
    shown = pd.concat([every.head(ROWS), every.tail(max(0, min(3, len(every) - ROWS)))])
    filled = [
        {
            "Set": term,
            "ES": number(row["ES"], 2),
            "NES": number(row["NES"], 2),
            "p": row["p"],
            "FDR": number(row["FDR"]),
            "Genes": row["size"],
            "Leading edge": ", ".join(row["leading_edge"][:GENES]),
        }
        for term, row in shown.iterrows()
    ]
    about = live.made.about
    said = (
        f"Concept {live.concept}: first and last of {about['sets']} sets of {about['library']} (sha256 "
        f"{about['checksum'][:12]}), {about['universe']} tested genes, {about['permutations']} permutations, seed {about['seed']}"
    )
    return HTML(table(filled, said))


def share_table(every: Sequence[Compared]) -> HTML:
    """Annotated concepts of every library, test and arm, beside the matched null."""
    filled = []
    for one in every:
        for test, how in TESTS.items():
            for arm, title in ARMS.items():
                null, found = one.null(test, arm), one.found[test, arm].values()
                low, high = np.percentile(null, [2.5, 97.5])
                filled.append(
                    {
                        "Library": called(one),
                        "Test": how,
                        "Genes scored by": title,
                        "Annotated, %": number(100 * one.share(test, arm), 0),
                        "Null, %": f"{number(100 * null.mean(), 0)} [{number(100 * low, 0)}, {number(100 * high, 0)}]",
                        "Null as high": number(one.p(test, arm), 2),
                        "Sets per annotated concept": number(_mean([f.sets for f in found if f.sets]), 1),
                    }
                )
    words = (
        "Concepts with at least one significant set; the null with the interval that holds 95 % of its draws"
    )
    return HTML(table(filled, words)) if filled else ABSENT


def library_table(every: Sequence[Compared]) -> HTML:
    """What the library decides before any score is looked at, and what comes out."""
    filled = []
    for one in every:
        sizes = np.concatenate([sets.sizes for sets in one.sets.values()])
        tested = [len(sets.names) for sets in one.sets.values()]
        alike = [sum(map(len, sets.stands_for.values())) for sets in one.sets.values()]
        filled.append(
            {
                "Library": called(one),
                "Sets in the file": len(one.library.sets),
                "Tested, mean over concepts": number(np.mean(tested), 0),
                "Left out as nearly the same": number(np.mean(alike), 0),
                "Median genes of a tested set": number(np.median(sizes), 0),
                "Annotated by attribution, %": number(100 * one.share("ranking", "score"), 0),
                "Annotated by DE, %": number(100 * one.share("ranking", "de"), 0),
                "sha256": one.library.checksum[:12],
            }
        )
    return HTML(table(filled, "The same concepts, genes and scores under each library")) if filled else ABSENT


def provenance(page: str, parameters: dict) -> HTML:
    """What the page was made of."""
    names = [NAME, *parameters["libraries"]]
    about = manifest(
        ROOT,
        page=page,
        tier="book",
        parameters=parameters,
        data={name: data.checksum(name) for name in names},
    )
    return frame.footer(about)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")
