"""`perturbed_vae` and what differs from it by one thing: a row per arm. Torch loads when an arm is fitted.

Source: `perturbedvae.md` sections 3 to 5 and 16.
"""

from typing import Any

from perturbook.models.protocol import Prediction, Query, Training, model

ARMS: dict[str, tuple[str, dict[str, Any]]] = {
    "perturbed_vae": ("PerturbedVAE", {}),
    "perturbed_vae_mean": ("PerturbedVAE, means of latents", {"mode": "mean"}),
    "perturbed_vae_unaligned": ("PerturbedVAE, not aligned", {"switches": {"align": "none"}}),
    "perturbed_vae_transport": ("PerturbedVAE, controls moved", {"spread": "transport"}),
    "perturbed_vae_scale": ("PerturbedVAE, controls moved and scaled", {"spread": "scale"}),
    "perturbed_vae_contrast": ("Additive plus PerturbedVAE's interaction", {"contrast": True}),
    "perturbed_vae_noise": ("PerturbedVAE with learned noise", {"switches": {"likelihood": "gaussian_gene"}}),
}
"""Name in the registry -> title, and fields of `Predictor` that differ, or `spread` or `contrast` around it."""


class Arm:
    """One arm. It is trained once, on the cells without the reference controls, and asked twice."""

    differs: dict[str, Any] = {}
    fits_once = True

    def __init__(self, **fields: Any):
        """Args: `fields` of `Predictor` that replace those of the arm, such as epochs."""
        self.fields = fields

    def fit(self, train: Training) -> "Arm":
        """Train; raises NotApplicable where codes cannot name what was done to the cells."""
        from perturbook.models.perturbed_vae.calibrated import Calibrated
        from perturbook.models.perturbed_vae.contrast import Contrast
        from perturbook.models.perturbed_vae.predictor import Predictor

        differs = {**self.differs, **self.fields}
        spread, contrast = differs.pop("spread", None), differs.pop("contrast", False)
        inner = Predictor(**differs)
        made = Calibrated(inner, spread) if spread else Contrast(inner) if contrast else inner
        self.inner = made.fit(train)
        return self

    def predict(self, query: Query) -> Prediction:
        """Generated cells of each condition; NaN where a gene was never perturbed in training."""
        return self.inner.predict(query)


for _name, (_title, _differs) in ARMS.items():
    _doc = f"{_title}: see `Arm`. Source: perturbedvae.md sections 3 to 5."
    _arm = type(_name, (Arm,), {"differs": _differs, "__module__": __name__, "__doc__": _doc})
    model(_name, title=_title, role="model")(_arm)
