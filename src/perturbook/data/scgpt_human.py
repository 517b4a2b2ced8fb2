"""The whole-human scGPT checkpoint: a folder of three files that a person fetches; found and compared, never unpickled.

The weights are published in a Google Drive folder only, which no program can read reliably. Source: `scgpt.md`
section 1: the checksum of the weights is a third party's, those of the two small files were confirmed in a public copy.
"""

from pathlib import Path

from perturbook.data.dataset import PublicFile, dataset
from perturbook.data.trust import pin
from perturbook.errors import InputError

NAME = "scgpt-human"
DRIVE = "https://drive.google.com/drive/folders/1oWh_-ZRdhtoGQ2Fw24HP41FgLoomVo-y"
LICENCE = "MIT (bowang-lab/scGPT); none stated beside the weights"

FILES = (
    PublicFile(
        name="args.json",
        folder=NAME,
        url=DRIVE,
        sha256="c18e075e018140cb8b2d9029387b9de26607a5ce6a8ccabd6ead70cd76b95d60",
        licence=LICENCE,
    ),
    PublicFile(
        name="vocab.json",
        folder=NAME,
        url=DRIVE,
        sha256="acca93d114ca62c3f0f50debbd23e8c87f0714f4737764454f6b2b13f2e8580f",
        size=1_317_639,
        licence=LICENCE,
    ),
    PublicFile(
        name="best_model.pt",
        folder=NAME,
        url=DRIVE,
        listed="sha256:6cb5d451ab5c4b33eb673adbe4fddc61d2389df1b89b7651a9fe2e557572b922",
        listed_by="a public experiment log, about 195.9 MiB",
        licence=LICENCE,
    ),
)


@dataset(
    NAME,
    title="scGPT, pre-trained on 33 million human cells: weights, vocabulary and sizes (about 206 MB)",
    files=FILES,
    cite="cui2024",
    full_size=True,
    cells=False,
)
def prepare(args: Path, vocab: Path, weights: Path) -> Path:
    """The folder of the checkpoint; its first use pins the weights.

    Raises:
        InputError: its files lie in different folders.
    """
    if len({path.parent for path in (args, vocab, weights)}) > 1:
        raise InputError(f"{NAME}: {args}, {vocab} and {weights} must lie in one folder; put them together.")
    for file, path in zip(FILES, (args, vocab, weights), strict=True):
        pin(file, path)
    return weights.parent
