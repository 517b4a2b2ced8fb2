"""`perturbed_vae` and what differs from it by one thing: a row per arm. Torch loads when an arm is fitted.

Source: `perturbedvae.md` sections 3 to 5 and 16.
"""

from typing import Any

from perturbook.models.gene_terms import GO
from perturbook.models.protocol import Prediction, Query, Training, model

ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "perturbed_vae": ("PerturbedVAE", {}),
    "perturbed_vae_mean": ("PerturbedVAE, means of latents", {"mode": "mean"}),
    "perturbed_vae_unaligned": ("PerturbedVAE, not aligned", {"switches": {"align": "none"}}),
    "perturbed_vae_transport": ("PerturbedVAE, controls moved", {"spread": "transport"}),
    "perturbed_vae_scale": ("PerturbedVAE, controls moved and scaled", {"spread": "scale"}),
    "perturbed_vae_contrast": ("Additive plus PerturbedVAE's interaction", {"contrast": True}),
    "perturbed_vae_shrunken": ("Additive, singles drawn towards PerturbedVAE", {"shrunken": True}),
    "perturbed_vae_noise": ("PerturbedVAE with learned noise", {"switches": {"likelihood": "gaussian_gene"}}),
    "perturbed_vae_features": ("PerturbedVAE told GO processes", {"features": True}),
}
"""Name in the registry -> title, and fields of `Predictor` that differ, or what stands around it: `spread`, `contrast` or `shrunken`."""


class Arm:
    """One arm. It is trained once, on the cells without the reference controls, and asked twice."""

    differs: dict[str, Any] = {}
    fits_once = True
    quick: dict[str, Any] = {"epochs": 1}
    """Fields that make its training short."""

    def __init__(self, **fields: Any):
        """Args: `fields` of `Predictor` that replace those of the arm, such as epochs."""
        self.fields = fields

    def fit(self, train: Training) -> "Arm":
        """Train; raises NotApplicable where codes cannot name what was done to the cells."""
        from perturbook.models.perturbed_vae.calibrated import Calibrated
        from perturbook.models.perturbed_vae.contrast import Contrast
        from perturbook.models.perturbed_vae.shrunken import Shrunken

        inner, around = self._made()
        if spread := around["spread"]:
            inner = Calibrated(inner, spread)
        outer = Contrast if around["contrast"] else Shrunken if around["shrunken"] else None
        self.inner = (outer(inner) if outer else inner).fit(train)
        return self

    def describe(self, train: Training) -> dict[str, Any]:
        """What `fit` would train, JSON-ready; see `Predictor.describe`. Raises NotApplicable where GO is needed and not at hand."""
        inner, around = self._made()
        return {**inner.describe(train), "around": around}

    def _made(self):
        """PerturbedVAE, not trained, and what stands around it."""
        from perturbook.models.perturbed_vae.predictor import Predictor

        differs = {**self.differs, **self.fields}
        around = {"spread": differs.pop("spread", None)}
        around |= {name: differs.pop(name, False) for name in ("contrast", "shrunken")}
        return Predictor(**differs), around

    def predict(self, query: Query) -> Prediction:
        """Generated cells of each condition; NaN where a gene has no code, see `Predictor.predict`."""
        return self.inner.predict(query)


for _name, (_title, _differs) in ARMS.items():
    _doc = f"{_title}: see `Arm`. Source: perturbedvae.md sections 3 to 5."
    _needs = (GO,) if _differs.get("features") else ()
    _own = {"differs": _differs, "needs": _needs, "__module__": __name__, "__doc__": _doc}
    _arm = type(_name, (Arm,), _own)
    model(_name, title=_title, role="model")(_arm)
