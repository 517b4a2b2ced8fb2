"""Tables and sentences of the positive control page: every one follows the deposit."""

import pandas as pd
from IPython.display import HTML, Markdown

from perturbook import data
from perturbook.concepts.encoder_of import BACKBONES
from perturbook.evaluation.manifest import manifest
from perturbook.pages import frame
from perturbook.pages.concepts_control import AUROC, DATA, PAGE, PANEL, STIMULATION, TYPE, Mark, hits
from perturbook.pages.concepts_control_read import CONCEPTS, PARTS, TITLES, Came, all_of
from perturbook.pages.html_table import table
from perturbook.pages.planted_programs_deposit import aim
from perturbook.pages.planted_programs_tables import planted_verdicts
from perturbook.pages.present import number
from perturbook.pages.table import ROOT


def facts(rows: pd.DataFrame) -> dict[str, object]:
    """Numbers for the text."""
    came = next(iter(all_of(rows).values()))
    counts = {part.replace(" ", "_"): int(came.value("cells", part)) for part in PARTS}
    return counts | {
        "n_panel": len(came.sets.panel),
        "n_all": len(PANEL),
        "n_hallmark": len(came.sets.hallmark),
        "absent": ", ".join(gene for gene in PANEL if gene not in came.sets.panel),
        "major": ", ".join(came.major),
        "n_major": len(came.major),
    }


def marks_table(rows: pd.DataFrame) -> HTML:
    """Every pass mark of every backbone, met or missed."""
    filled = [
        {
            "Backbone": BACKBONES[name],
            "Verdict": "met" if one.met else "missed",
            "Mark": one.name,
            "Asked": one.asked,
            "Found": one.found,
        }
        for name, came in all_of(rows).items()
        for one in came.marks()
    ]
    return HTML(table(filled, "Real cells: pass marks, as they were written before the run", ["Backbone"]))


def arms_table(rows: pd.DataFrame) -> HTML:
    """Interferon genes in the ranking of every arm and backbone."""
    filled = []
    for name, came in all_of(rows).items():
        for arm, title in TITLES.items():
            ranked = came.ranked(arm)
            counts = {top: hits(ranked, came.sets, top) for top in (10, 30)}
            filled.append(
                {
                    "Backbone": BACKBONES[name],
                    "Ranked by": title,
                    **{
                        f"Top {top}: panel, Hallmark": f"{of['panel']}, {of['hallmark']}"
                        for top, of in counts.items()
                    },
                    "Panel AUROC": number(came.value(arm, "set auroc", "panel"), 3),
                    "Hallmark AUROC": number(came.value(arm, "set auroc", "hallmark"), 3),
                    "Panel genes tested": int(came.value(arm, "set tested", "panel")),
                    "Genes tested": f"{int(came.value(arm, 'tested')):,}",
                    "Marks met": _met(came.genes(arm)),
                }
            )
    return HTML(table(filled, "Real cells: interferon genes in every ranking", ["Backbone"]))


def _met(marks: list[Mark]) -> str:
    return f"{sum(one.met for one in marks)} of {len(marks)}"


def concept_table(rows: pd.DataFrame) -> HTML:
    """The chosen concept of every arm: what it separates, and what stands behind its pairs."""
    filled = []
    for name, came in all_of(rows).items():
        for arm in (*CONCEPTS, "unrelated"):
            auroc = came.values(arm, "auroc")
            label = "stimulation" if arm != "unrelated" else came.values(arm, "label").index[0]
            filled.append(
                {
                    "Backbone": BACKBONES[name],
                    "Concept of": TITLES[arm].split(",")[0],
                    "Separates": label,
                    "Number": int(came.value(arm, "concept")),
                    "AUROC, validation": number(auroc["validation"], 3),
                    "AUROC, test": number(auroc["test"], 3),
                    "Pairs": int(came.value(arm, "pairs")),
                    "Pairs of one stimulation": f"{came.value(arm, 'pairs with equal label', STIMULATION):.0%}",
                    "Pairs of one type": f"{came.value(arm, 'pairs with equal label', TYPE):.0%}",
                    "Overtaken swaps": f"{came.value(arm, 'overtaken'):.0%}",
                    "Ranked by": _by(came, arm),
                }
            )
    return HTML(table(filled, "Real cells: the concept of every arm, and its pairs", ["Backbone"]))


def _by(came: Came, arm: str) -> str:
    by = came.values(arm, "ranked by").index[0]
    return {"relative": "relative change", "pre": "pre-activation"}[by]


def best_three(rows: pd.DataFrame) -> HTML:
    """The three concepts with the highest validation AUROC, shown because one signal may lie in several."""
    filled = [
        {
            "Backbone": BACKBONES[name],
            "Concept": int(concept),
            "AUROC, validation": number(value, 3),
            "AUROC, test": number(came.value("sae", "best three, test", concept), 3),
        }
        for name, came in all_of(rows).items()
        for concept, value in came.values("sae", "best three, validation").items()
    ]
    return HTML(table(filled, "Real cells: the best three concepts of each autoencoder"))


def sentence(came: Came, name: str) -> str:
    """What came out of one backbone, in words."""
    marks = came.marks()
    met = [one for one in marks if one.met]
    title = BACKBONES[name]
    if len(met) == len(marks):
        return f"**{title}: passed.** All {len(marks)} marks are met."
    missed = "; ".join(f"{one.name} ({one.found}; asked {one.asked})" for one in marks if not one.met)
    return f"**{title}: not passed.** {len(met)} of {len(marks)} marks are met. Missed: {missed}."


def against_de(came: Came, name: str) -> str:
    """Attribution beside DE over the same genes, in words."""
    tops = {
        arm: hits(came.ranked(arm), came.sets, 30) for arm in ("sae", "de", "de_tested", "de_concept_tested")
    }
    aurocs = {arm: came.value(arm, "set auroc", "panel") for arm in tops}
    best = max(tops["sae"].values())
    label = max(tops["de_tested"].values())
    word = "more than" if best > label else "as many as" if best == label else "fewer than"
    return (
        f"{BACKBONES[name]}: among the top 30 attribution has {best} interferon genes, {word} the {label} of DE between stimulated and "
        f"control cells over the same genes (over all genes {max(tops['de'].values())}), which is told the labels; DE between cells in which the concept is active and "
        f"the others has {max(tops['de_concept_tested'].values())}. Panel AUROC: {number(aurocs['sae'], 3)}, against "
        f"{number(aurocs['de_tested'], 3)} and {number(aurocs['de_concept_tested'], 3)}."
    )


def fragmented(came: Came, name: str) -> str:
    """Whether the embedding holds the stimulation though no concept of it does."""
    best, probe = came.value("sae", "auroc", "test"), came.value("probe", "auroc", "test")
    if best >= AUROC:
        return f"{BACKBONES[name]}: one concept holds the stimulation (test AUROC {number(best, 3)}; a probe of the whole embedding {number(probe, 3)})."
    found = {arm: came.value(arm, "auroc", "test") for arm in CONCEPTS[1:]}
    plain = max(found, key=found.get)
    word = (
        "is in the embedding but in no single concept"
        if probe >= AUROC
        else "is hardly in the embedding at all"
    )
    return (
        f"{BACKBONES[name]}: no concept reaches {AUROC:.2f}. The stimulation {word}: a logistic regression on the whole embedding, told the "
        f"labels of the training cells, reaches {number(probe, 3)} on test cells, the chosen concept {number(best, 3)}, the best "
        f"{TITLES[plain].split(',')[0].lower()} {number(found[plain], 3)}."
    )


def plain_arms(came: Came, name: str) -> str:
    """Which of the plainer dictionaries meet the gene marks that the autoencoder is held to."""
    met = {arm: sum(one.met for one in came.genes(arm)[:3]) for arm in CONCEPTS}
    best = [TITLES[arm].split(",")[0].lower() for arm, n in met.items() if n == 3]
    said = f"by the {' and the '.join(best)}" if best else "by no concept of any dictionary"
    return f"{BACKBONES[name]}: the three marks on the order of genes are all met {said}."


def verdicts(rows: pd.DataFrame, worlds: pd.DataFrame) -> Markdown:
    """The page in a list."""
    came = all_of(rows)
    said = [sentence(one, name) for name, one in came.items()]
    said += [fragmented(one, name) for name, one in came.items()]
    said += [plain_arms(one, name) for name, one in came.items()]
    said += [against_de(one, name) for name, one in came.items()]
    said += [pairs_verdict(one, name) for name, one in came.items()]
    return Markdown("\n".join(f"- {one}" for one in [*said, *planted_verdicts(worlds)]))


def pairs_verdict(came: Came, name: str) -> str:
    """Whether the nearest cell without the concept is a cell of the other condition."""
    same = came.value("sae", "pairs with equal label", STIMULATION)
    if same == 0:
        return f"{BACKBONES[name]}: every counterfactual is a control cell where its prototype is stimulated."
    return (
        f"{BACKBONES[name]}: in {same:.0%} of the pairs both cells have the same stimulation, so that what is swapped there is not the "
        f"response but whatever else tells the two cells apart."
    )


def answer(rows: pd.DataFrame, worlds: pd.DataFrame) -> Markdown:
    """The page in two sentences."""
    passed = [BACKBONES[name] for name, one in all_of(rows).items() if all(mark.met for mark in one.marks())]
    first = f"passed with {' and '.join(passed)}" if passed else "not passed with either backbone"
    second = "is above" if aim(worlds) else "is not above"
    return Markdown(
        f"**On real cells the positive control is {first}. On simulated cells with planted programs the AUPRC of attribution "
        f"{second} that of differential expression by its interval.**"
    )


def provenance(page: str) -> HTML:
    """What the page was made of."""
    return frame.footer(
        manifest(ROOT, page=page or PAGE, tier="book", parameters={}, data={DATA: data.checksum(DATA)})
    )
