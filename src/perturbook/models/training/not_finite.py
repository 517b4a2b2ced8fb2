"""The error of a training run that has left the finite numbers."""

from perturbook.errors import PerturbookError


class NotFinite(PerturbookError):
    """A loss, a gradient or a validation is not finite; the message names the step, the term, and what to try."""
