"""Where a run stands, in one line on stderr."""

import sys

from perturbook.models.training.state import State


def tell(state: State, steps: int) -> None:
    """Say the step and the last loss: rewritten in a terminal; in a log at every validation and at the end."""
    rows, live = state.history.rows, sys.stderr.isatty()
    validated = bool(rows) and rows[-1][:2] == (state.step, "validation")
    if not rows or not (live or validated or state.finished):
        return
    part = rows[-1][1]
    loss = next(value for _, where, name, value in reversed(rows) if (where, name) == (part, "loss"))
    end = "\n" if state.finished or not live else "\r"
    sys.stderr.write(
        f"step {state.step:,} of {steps:,}, {part} loss {loss:.4f}, {state.history.seconds:.0f} s{end}"
    )
    sys.stderr.flush()
