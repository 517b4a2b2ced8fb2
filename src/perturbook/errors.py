"""The errors a reader can cause. Each message names what was wrong, where, and what to do next."""


class PerturbookError(ValueError):
    """Base of all errors below; the command line prints its message without a traceback."""


class InputError(PerturbookError):
    """A data set, table or file does not hold what it must hold."""


class ShapeError(PerturbookError):
    """Two arrays do not fit together; the message names both shapes."""


class ConfigError(PerturbookError):
    """A parameter is unknown, of the wrong type, or impossible beside the others."""


class LeakError(PerturbookError):
    """A model could have seen what it is asked to predict."""


class DataUnavailable(PerturbookError):
    """A public file is neither in the cache, nor in the offline folder, nor to be had over the network."""


class NotApplicable(PerturbookError):
    """A predictor is not defined in this setting; the reason becomes its row in the table."""
