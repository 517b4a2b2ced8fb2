"""Sentences of the page on ontology; what they say follows from what was computed."""

from collections.abc import Sequence

import numpy as np
from IPython.display import Markdown

from perturbook.concepts.enrichment import LEVEL
from perturbook.pages.concepts_ontology import ARMS, TESTS, Compared, Live
from perturbook.pages.present import number

SHORT = {"geneset-hallmark": "Hallmark", "geneset-go-bp": "GO biological process"}
NONE = Markdown("The gene sets could not be fetched when the book was built, so that nothing was computed.")
QUANTITIES = {"genes": "Scores of genes", "nes": "NES of sets", "jaccard": "Significant sets"}


def called(compared: Compared) -> str:
    """The library in words."""
    return SHORT.get(compared.library.name, compared.library.name)


def share_verdict(one: Compared, test: str, arm: str) -> str:
    """The share of annotated concepts beside what the matched null gives."""
    null, p = one.null(test, arm), one.p(test, arm)
    low, high = np.percentile(null, [2.5, 97.5])
    said = (
        f"{called(one)}, {TESTS[test].lower()}, {ARMS[arm]}: {number(100 * one.share(test, arm), 0)} % of "
        f"{len(one.agreed)} concepts have a significant set; random ones matched in detection "
        f"{number(100 * null.mean(), 0)} % (95 % of draws from {number(100 * low, 0)} to {number(100 * high, 0)} %)"
    )
    if p < LEVEL:
        return f"{said}; more than the null."
    return f"{said}, which is **no more than the null** ({number(p, 2)} of draws give as many)."


def agreement_verdict(one: Compared) -> str:
    """Whether attribution and DE say the same, against permuted labels."""
    parts = []
    for key, words in QUANTITIES.items():
        own = _defined([getattr(found, key) for found in one.agreed.values()])
        null = _defined([getattr(found, key) for every in one.permuted.values() for found in every])
        what = "Jaccard" if key == "jaccard" else "Spearman"
        of = f"{len(own)} of {len(one.agreed)} concepts"
        if not len(own):
            parts.append(f"{words}: undefined, neither arm has a significant set in any concept")
            continue
        beside = (
            f"{number(np.median(null), 2)} with permuted labels"
            if len(null)
            else "undefined with permuted labels"
        )
        parts.append(f"{words} ({what}, {of}): median {number(np.median(own), 2)}, {beside}")
    return f"{called(one)}. {'; '.join(parts)}."


def overlap_verdict(one: Compared) -> str:
    """How many concepts either arm annotates, alone or with the other."""
    own, theirs = (np.array([found.sets > 0 for found in one.found["ranking", arm].values()]) for arm in ARMS)
    return (
        f"{called(one)}: {int((own & theirs).sum())} concepts are annotated by both, {int((own & ~theirs).sum())} by attribution "
        f"alone, {int((~own & theirs).sum())} by DE alone, {int((~own & ~theirs).sum())} by neither."
    )


def company_verdict(live: Live | None) -> Markdown:
    """What the company of other sets does to the rates of one concept."""
    if live is None:
        return NONE
    if len(live.together) == len(live.alone):
        return Markdown("With one library there is no company to compare with; the full page runs two.")
    both = live.alone.join(live.together, rsuffix="_together", how="inner").dropna()
    moved = (both["FDR"] - both["FDR_together"]).abs()
    term = moved.idxmax()
    before, after = ((both[name] < LEVEL).sum() for name in ("FDR", "FDR_together"))
    return Markdown(
        f"Of concept {live.concept}, {len(both)} sets of the first library were run alone, and again among {len(live.together)} "
        f"sets of all libraries. ES and p stay what they were; the FDR of {term} goes from {number(both.loc[term, 'FDR'])} to "
        f"{number(both.loc[term, 'FDR_together'])}, and {before} sets are significant alone, {after} in company."
    )


def live_verdict(live: Live | None) -> Markdown:
    """What gseapy finds for one concept."""
    if live is None:
        return NONE
    top = live.made.shown().iloc[0]
    n = len(live.made.significant)
    return Markdown(
        f"In concept {live.concept}, {n} of {len(live.made.table)} sets have an FDR below {LEVEL}. First by NES is {top.name}, "
        f"with an NES of {number(top['NES'], 2)}, p {top['p']}, FDR {number(top['FDR'])}; {len(top['leading_edge'])} of its "
        f"{top['size']} tested genes lead: {', '.join(top['leading_edge'][:8])}."
    )


def verdicts(every: Sequence[Compared]) -> Markdown:
    """All of them as a list."""
    if not every:
        return NONE
    said = [share_verdict(one, test, arm) for one in every for test in TESTS for arm in ARMS]
    said += [overlap_verdict(one) for one in every] + [agreement_verdict(one) for one in every]
    return Markdown("\n".join(f"- {one}" for one in said))


def answer(every: Sequence[Compared]) -> Markdown:
    """The page in a sentence or two."""
    if not every:
        return NONE
    asked = [(one, arm) for one in every for arm in ARMS]
    better = [f"{ARMS[arm]} in {called(one)}" for one, arm in asked if one.p("ranking", arm) < LEVEL]
    words = f"for {' and '.join(better)} and no other pair" if better else "for no pair"
    shares = "; ".join(
        f"{ARMS[arm]} in {called(one)} {number(100 * one.share('ranking', arm), 0)} % beside "
        f"{number(100 * one.null('ranking', arm).mean(), 0)} %"
        for one, arm in asked
    )
    return Markdown(
        f"**Share of {len(every[0].agreed)} concepts with a significant gene set, beside the mean of its matched null: {shares}. "
        f"The null is exceeded {words} of score and library.**"
    )


def _defined(values: Sequence[float]) -> np.ndarray:
    values = np.asarray(values, float)
    return values[~np.isnan(values)]
