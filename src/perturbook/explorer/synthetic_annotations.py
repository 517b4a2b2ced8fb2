"""Annotations that nobody made: drawn at random, so that the page that reads annotations can be built and tested.

No number of them means anything; whoever shows one says "synthetic". Source: `concepts.md` section 8; the drawing, our choice.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from perturbook.errors import InputError
from perturbook.explorer.annotation_record import ANSWERS, Record
from perturbook.explorer.annotations import SYNTHETIC, Annotations

ANNOTATORS, ITEMS, REPEATED = ("synthetic-1", "synthetic-2"), 40, 0.1
"""Items per annotator, and the share of them shown again in the first pass."""
TERMS = ("GO:0006955", "GO:0051607", "GO:0006412", "GO:0007049", "GO:0006954")
"""Existing terms, put to features without looking at them."""
SAME = 0.75
"""Chance that an answer is the one drawn for the item, instead of one drawn anew; the same for every arm, so that no arm is better."""
START = datetime(2000, 1, 1, tzinfo=UTC)
"""Before any encoder was made, so that no one takes the times for real."""


def synthetic(uids: Sequence[str], artefact_hash: str, atlas: str, seed: int = 0) -> list[Annotations]:
    """Two synthetic annotators in two passes over some features of an atlas, a tenth of them repeated in the first.

    Args:
        uids: features of the atlas; arms are taken in turn, each from its beginning, up to 40 features in all.
        artefact_hash: of the atlas.
        atlas: its name.
        seed: decides every answer.

    Raises:
        InputError: there is no feature.
    """
    if not len(uids):
        raise InputError("Synthetic annotations need a feature or more; the atlas has none.")
    rng, chosen = np.random.default_rng(seed), _in_turn(uids)
    truth = {uid: rng.integers(len(ANSWERS)) for uid in chosen}
    term = {uid: rng.integers(len(TERMS)) for uid in chosen}
    made = []
    for code in ANNOTATORS:
        order = [chosen[i] for i in rng.permutation(len(chosen))]
        shown = [(uid, None, 1) for uid in order]
        shown += [(uid, uid, 1) for uid in order[: int(np.ceil(REPEATED * len(order)))]]
        shown += [(uid, None, 2) for uid in order]
        records = [
            _record(rng, *one, truth[one[0]], term[one[0]], START + timedelta(minutes=n))
            for n, one in enumerate(shown)
        ]
        made.append(Annotations(artefact_hash, atlas, SYNTHETIC, code, tuple(records)))
    return made


def _in_turn(uids: Sequence[str]) -> list[str]:
    """The first features of every arm, one arm after the other, up to `ITEMS`."""
    arms: dict[str, list[str]] = {}
    for uid in uids:
        arms.setdefault(uid.rpartition("-")[0], []).append(uid)
    rounds = [
        [held[i] for held in arms.values() if i < len(held)] for i in range(max(map(len, arms.values())))
    ]
    return [uid for one in rounds for uid in one][:ITEMS]


def _record(
    rng, uid: str, repeat_of: str | None, number: int, truth: int, term: int, saved: datetime
) -> Record:
    def near(value: int, of: int) -> int:
        return value if rng.random() < SAME else int(rng.integers(of))

    answer = ANSWERS[near(truth, len(ANSWERS))]
    values = {
        "feature_uid": uid,
        "interpretable": answer,
        "label": "synthetic label" if answer == "yes" else "",
        "ontology_ids": [TERMS[near(term, len(TERMS))]] if answer == "yes" else [],
        "confidence": int(rng.integers(1, 6)),
        "usefulness": int(rng.integers(1, 6)),
        "panels_used": ["map", "genes"] if number == 1 else ["map", "genes", "terms"],
        "seconds": int(rng.integers(20, 180)),
        "comment": "synthetic: no expert saw this",
        "repeat_of": repeat_of,
        "pass": number,
        "blind": number == 1,
        "saved": saved.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
    }
    return Record.of(values, f"synthetic record of {uid}")
