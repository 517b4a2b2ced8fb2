"""`perturbook train`: train the models whose predictions a page reads, fold by fold, and store what they predict."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import Any

from perturbook import data
from perturbook.errors import ConfigError
from perturbook.models import MODELS, Training
from perturbook.pages import ablations, parameters, trained
from perturbook.pages.design import Design
from perturbook.pages.predict import predict
from perturbook.pages.study import Asked, asked_of, design_of
from perturbook.pages.table import ROOT, Page
from perturbook.pages.table import page as page_of


def _identifiability(names: Sequence[str]) -> Iterator[str]:
    from perturbook.pages import identifiability, identifiability_sweeps

    arms = [name for name in names if name != "sweeps"]
    if arms or not names:
        yield from identifiability.make(range(identifiability.WORLDS), arms)
    if "sweeps" in names:
        yield from identifiability_sweeps.make()


def _study(file: str, *, whole: bool = False) -> Callable[[Sequence[str]], Iterator[str]]:
    """What `make` of a file of `pages/` trains; one that trains as a whole knows no names of parts."""

    def make(names: Sequence[str]) -> Iterator[str]:
        if whole and names:
            raise ConfigError(f"This page trains one study as a whole and knows no {names[0]!r}.")
        made = import_module(f"perturbook.pages.{file}").make  # torch loads where something is trained
        yield from made() if whole else made(names)

    return make


STUDIES: dict[str, Callable[[Sequence[str]], Iterator[str]]] = {
    "additive": _study("fresh_pairs", whole=True),
    "concepts": _study("concepts_cells"),
    "concepts_attribution": _study("concepts_attribution_deposit"),
    "concepts_control": _study("concepts_control_deposit"),
    "concepts_ontology": _study("concepts_ontology_study", whole=True),
    "concepts_quality": _study("concepts_quality"),
    "concepts_stability": _study("concepts_stability"),
    "explorer": _study("explorer_deposit"),
    "explorer_annotations": _study("explorer_annotations", whole=True),
    "identifiability": _identifiability,
    "latents": _study("latents_deposit"),
}
"""Notebook -> what trains its study, all of it or the named parts; such a study trains no predictors of a page."""


def train(page_id: str, names: Sequence[str] = (), given: Mapping[str, Any] | None = None) -> Iterator[str]:
    """Train the stored models of a page, or those named, and store what they predict; yields a line per model.

    Of a study of `STUDIES`, whose models are no predictors of a page, it trains all parts, or those named.

    A run that was stopped and is called again goes on behind the last fold that it finished.

    Args:
        page_id: page.
        names: models, among those that the page stores.
        given: parameters of the page that shall have another value, such as the seed.

    Raises:
        LeakError: an audit failed; nothing is trained.
        ConfigError: there is no such page or parameter, or a name is not among the stored models.
        DataUnavailable: the data cannot be had.
    """
    if study := STUDIES.get((page := page_of(page_id)).notebook):
        if given:
            raise ConfigError(f"{page_id} trains a study whose settings are fixed; it takes no parameter.")
        yield from _kept(study(names))
        return
    for design in _designs(page, given):
        if other := sorted(set(names) - set(design.stored)):
            known = ", ".join(design.stored) or "none"
            raise ConfigError(f"{design.page} does not store {', '.join(other)}. Stored models: {known}.")
        if design.data not in data.DATASETS:
            raise ConfigError(
                f"{design.data} is a file of your own, for which nothing is stored. Train on the page: perturbook run "
                f"{design.page} -p data={design.data} -p 'stored=[]'."
            )
        asked = asked_of(design, design.load())
        for name in names or design.stored:
            yield _train(design, name, asked)


def _designs(page: Page, given: Mapping[str, Any] | None) -> list[Design]:
    """What a page asks of models that train for long: one design, or one per setting and seed of the ablations."""
    if page.notebook == "ablations":
        values = {**page.parameters, **(given or {}), "page": page.id}
        return ablations.designs(parameters.check(page.notebook, values))
    return [design_of(page, given)]


def _kept(lines: Iterator[str]) -> Iterator[str]:
    """The lines of a study; a run that was stopped goes on behind the last training, where the study trains predictors."""
    from perturbook.models.training.recalled import kept_in  # torch loads where a model is trained

    with kept_in(ROOT / "runs" / "trained"):
        yield from lines


def _train(design: Design, name: str, asked: Asked) -> str:
    from perturbook.models.training.recalled import kept_in

    started = time.monotonic()
    with kept_in(ROOT / "runs" / "trained"):  # a run that was stopped goes on behind the last fold
        made = predict([name], asked.cells, asked.folds, asked.truth)
    if absent := [one.reason for one in made if one.mean is None]:
        return f"{design.page}: {name} is not applicable: {absent[0]}"
    seconds = round(time.monotonic() - started, 1)
    facts = {"audits": asked.audits, "made_of": _described(name, asked), "seconds": seconds}
    trained.store(design, name, made, asked.truth, **facts)
    return f"{design.page}: {name}, seed {design.seed}, {seconds:.0f} s"


def _described(name: str, asked: Asked) -> dict:
    """What the model says of itself, for the training cells of the first fold."""
    split = asked.tested[0]
    shown = asked.cells[split.blind().visible].copy()
    return MODELS[name]().describe(Training(shown, frozenset(split.valid)))
