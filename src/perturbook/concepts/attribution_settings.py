"""Which cells a concept is attributed on, and against which."""

from dataclasses import asdict, dataclass

from perturbook.concepts.counterfactual_cells import AGAINST
from perturbook.concepts.prototypes import N_MIDDLE, N_TOP, PER_DONOR
from perturbook.errors import ConfigError

LEVELS = ("token", "raw")
"""What is swapped: what the encoder reads of the gene, others fixed; or the count, and the whole cell is read anew."""

BY = ("swap", "removal", "mask")
"""What replaces the value of a gene: that of the counterfactual; nothing; or the value that stands for a masked one."""


@dataclass(frozen=True, kw_only=True)
class AttributionSettings:
    """Settings of one attribution. Source: `concepts.md` sections 4 and 5.1; defaults are choices of it.

    Raises ConfigError for an impossible value.
    """

    n: int | None = None
    """Prototypes per concept; 30 at the top and 10 in the middle where None."""
    stratum: str = "top"
    """Of the prototypes: "top" or "middle"."""
    donor: str | None = None
    """Column of obs with the donor, of which at most `per_donor` cells are taken."""
    per_donor: int = PER_DONOR
    match_on: tuple[str, ...] = ()
    """Columns of obs in which a counterfactual must agree with the prototype."""
    k: int = 1
    """Counterfactuals per prototype: 1, the nearest, or 5, whose attributions are averaged."""
    against: str = "inactive"
    """Which cells are counterfactuals: "inactive", nearest; or the negative controls "active" and "random"."""
    level: str = "token"
    """One of `LEVELS`."""
    by: str = "swap"
    """One of `BY`: swaps, or what they are compared with. Removal and mask touch only genes that the prototype expresses."""
    seed: int = 0
    """Of random counterfactuals."""

    def __post_init__(self):
        for name in ("n", "per_donor", "k"):
            if (value := getattr(self, name)) is not None and value < 1:
                raise ConfigError(f"{name} is {value}; it must be at least 1.")
        if isinstance(self.match_on, str):
            raise ConfigError(
                f"match_on is {self.match_on!r}; give a tuple of columns, ({self.match_on!r},)."
            )
        for name, known in (
            ("stratum", ("top", "middle")),
            ("against", AGAINST),
            ("level", LEVELS),
            ("by", BY),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} is {getattr(self, name)!r}; expected one of {', '.join(known)}.")

        if self.level == "raw" and self.by != "swap":
            raise ConfigError(
                f"by is {self.by!r} at the level of counts; only swaps have counts, use level='token'."
            )

    @property
    def prototypes(self) -> int:
        """How many are taken."""
        return self.n or (N_TOP if self.stratum == "top" else N_MIDDLE)

    def as_dict(self) -> dict:
        """Plain values by name."""
        return asdict(self) | {"match_on": list(self.match_on)}
