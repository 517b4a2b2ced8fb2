"""The budget: how much of a foundation model an adapter trains, counted at the size of the released one.

Formulas, with D the width, r the bottleneck and m the length of the condition's embedding, per adapter:

    shift (2 D + m + 1) r + D,    scale_shift (2 D + 2 m + 2) r + D,    static (2 D + 1) r + D

The share is computed from a model on the meta device, which costs neither memory nor time, over the parameters of the
whole checkpoint; the molecule encoder is not counted. Source: `scdca.md` section 2.1.
"""

from dataclasses import replace

from perturbook.errors import ConfigError
from perturbook.models.scdca.adapted import Adapted
from perturbook.models.scdca.config import Config
from perturbook.models.scgpt.model import ScGPT
from perturbook.models.scgpt.sizes import Sizes

WHOLE_HUMAN = Sizes(n_tokens=60_697, embsize=512, nheads=8, d_hid=512, nlayers=12, pad_id=60_694)
"""The released whole-human checkpoint."""
LIMIT = 0.01
"""What the paper claims: less than one percent. Source: abstract of arXiv 2412.13478."""


def adapter_size(config: Config, m: int, width: int = WHOLE_HUMAN.embsize) -> int:
    """Parameters of one adapter by the formulas above.

    Raises:
        ConfigError: the form has no formula here: another generator than `linear`, or `bias_location="up"`.
    """
    if config.generator != "linear" or config.bias_location != "bottleneck":
        raise ConfigError(
            "there is a formula for linear generators in the bottleneck alone; count a model instead."
        )
    made = {"shift": m + 1, "scale_shift": 2 * m + 2, "static": 1}[config.conditioning]
    return (2 * width + made) * config.bottleneck + width


def trainable_parameters(config: Config | None = None, m: int = 1024) -> int:
    """Trained parameters at whole-human size, head included; the dose, where it is appended, is one more than `m`."""
    return Adapted(ScGPT(WHOLE_HUMAN), config or Config(), m).n_trained


def trainable_share(config: Config | None = None, m: int = 1024) -> float:
    """Trained parameters over those of the whole-human checkpoint, head included.

    Args:
        config: switches; the defaults of the paper's form if None.
        m: length of a condition's embedding, 1,024 for the default Morgan fingerprint.

    Returns:
        A share; above `LIMIT` the configuration is over budget. The same whatever backbone a page runs.
    """
    return trainable_parameters(config, m) / WHOLE_HUMAN.n_parameters


def over_budget(config: Config | None = None, m: int = 1024) -> bool:
    """Whether a configuration trains more than one percent at whole-human size."""
    return trainable_share(config, m) > LIMIT


def largest_bottleneck(config: Config, m: int) -> int:
    """Largest r whose adapters, the head not counted, stay within the limit; 0 where none does.

    Raises:
        ConfigError: see `adapter_size`.

    Source: the last column of `scdca.md` section 2.1.
    """
    number, r = WHOLE_HUMAN.nlayers * len(config.positions), 0
    most = LIMIT * WHOLE_HUMAN.n_parameters
    while number * adapter_size(replace(config, bottleneck=r + 1), m) <= most:
        r += 1
    return r
