"""What two genes do together beyond the sum of what each does alone: the planted function of `simulated-pairs`.

Both the class of a pair and its interaction are fixed functions of the two programs, of their overlap, signs and
strengths; who the genes are does not enter. All interactions live on genes that both programs move, and vanish with
the overlap.

Source: `simulators.md` section 3; the functions and their coefficients are our choice.
"""

import numpy as np

BOUND = 1.3  # log units that no program reaches; where saturating pairs level off
APART = 0.15  # absolute cosine of two programs below which they do not interact
ALIKE = 0.5  # cosine from which two programs are one pathway
UNEQUAL = 0.8  # ratio of strengths below which the stronger gene dominates an opposed one
STRONG = 0.56  # strength from which a program is strong; programs keep clear of it
SYNERGY = 0.7  # gain, in units of the geometric mean of the two effects on a gene
BUFFERED = 0.8  # share of the smaller of two like effects that is lost


def strength(program: np.ndarray) -> float:
    """Root mean square over the genes that `program` `(genes,)` moves, log units."""
    return float(np.sqrt((program[program != 0] ** 2).mean()))


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """Cosine of two programs `(genes,)`: how much they overlap, and with which sign."""
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def interaction_class(a: np.ndarray, b: np.ndarray) -> str:
    """The key of `INTERACTIONS` that two programs `(genes,)` fall under, whatever their order.

    Programs that hardly overlap add. Programs that oppose each other add where they are equally strong, else the stronger
    dominates. Programs of one pathway buffer each other; of others that agree, two strong ones saturate, and the rest
    are synergistic.
    """
    weaker, stronger = sorted((strength(a), strength(b)))
    overlap = cosine(a, b)
    if overlap < APART:
        return "dominance" if overlap <= -APART and weaker < UNEQUAL * stronger else "additive"
    if overlap >= ALIKE:
        return "buffering"
    return "saturation" if weaker >= STRONG else "synergy"


def interaction(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """log m_ab - log m_0 minus the sum of the two programs `(genes,)`, by the class of the pair; symmetric."""
    return INTERACTIONS[interaction_class(a, b)](a, b)


def _synergy(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Genes that both move the same way move further: 0.7 sign(a) sqrt(a b)."""
    return SYNERGY * np.sign(a) * np.sqrt(np.maximum(a * b, 0.0))


def _buffering(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """On genes that both move the same way, four fifths of the smaller effect are lost."""
    return -BUFFERED * np.where(a * b > 0, np.sign(a) * np.minimum(np.abs(a), np.abs(b)), 0.0)


def _dominance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """On genes that both move, the effect of the weaker gene is lost as far as the stronger one's reaches."""
    weak = a if strength(a) < strength(b) else b
    return -np.sign(weak) * np.minimum(np.abs(a), np.abs(b))


def _saturation(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Effects add on a scale that a hyperbolic tangent bends: a and b give (a + b) / (1 + a b / BOUND^2)."""
    return (a + b) / (1 + a * b / BOUND**2) - (a + b)


INTERACTIONS = {
    "additive": lambda a, b: np.zeros_like(a),
    "buffering": _buffering,
    "dominance": _dominance,
    "saturation": _saturation,
    "synergy": _synergy,
}
"""What is added to the sum of two programs `(genes,)`, by class."""
