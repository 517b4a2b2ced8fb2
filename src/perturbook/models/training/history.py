"""What a training run has recorded."""

from dataclasses import dataclass, field

import pandas as pd

COLUMNS = ["step", "part", "term", "value"]


@dataclass
class History:
    """Every loss term, validation, learning rate and gradient norm of a run, by step.

    A row at step n was computed with the weights after n updates: the first training row has step 0.
    """

    rows: list[tuple[int, str, str, float]] = field(default_factory=list)
    """(step, part, term, value); part is `training` or `validation`."""
    steps: int = 0
    """Updates made."""
    best_step: int | None = None
    """Updates behind the weights with the lowest validation loss, which the module holds; None without validation."""
    stopped: str = ""
    """Why the run ended, in words."""
    seconds: float = 0.0
    """Wall time of all parts of the run, in seconds; the only entry that differs between equal runs."""

    @classmethod
    def from_dict(cls, content: dict) -> "History":
        """History from `vars` of one, as kept on disk."""
        return cls(**{**content, "rows": [tuple(row) for row in content["rows"]]})

    def table(self) -> pd.DataFrame:
        """Return a tidy table: step, part, term, value; one row per number."""
        return pd.DataFrame(self.rows, columns=COLUMNS)

    def wide(self) -> pd.DataFrame:
        """Return one row per step and one column per `part: term`; NaN where a step has none."""
        table = self.table()
        table["name"] = table["part"] + ": " + table["term"]
        wide = table.pivot(index="step", columns="name", values="value")
        return wide[list(dict.fromkeys(table["name"]))].rename_axis(columns=None)
