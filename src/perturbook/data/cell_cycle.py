"""Genes whose expression tells where a cell stands in its cycle: 43 of S phase, 54 of G2 and M.

Source: Tirosh et al. 2016, doi 10.1126/science.aad0501, symbols as in the list that is in common use since.
"""

import numpy as np
from anndata import AnnData

from perturbook.data.schema import expression
from perturbook.errors import InputError

S_PHASE = frozenset(
    "ATAD2 BLM BRIP1 CASP8AP2 CCNE2 CDC45 CDC6 CDCA7 CHAF1B CLSPN DSCC1 DTL E2F8 EXO1 FEN1 GINS2 GMNN HELLS MCM2 MCM4 "
    "MCM5 MCM6 MLF1IP MSH2 NASP PCNA POLA1 POLD3 PRIM1 RAD51 RAD51AP1 RFC2 RPA2 RRM1 RRM2 SLBP TIPIN TYMS UBR7 UHRF1 "
    "UNG USP1 WDR76".split()
)
"""Genes of S phase."""
G2_M = frozenset(
    "ANLN ANP32E AURKA AURKB BIRC5 BUB1 CBX5 CCNB2 CDC20 CDC25C CDCA2 CDCA3 CDCA8 CDK1 CENPA CENPE CENPF CKAP2 CKAP2L "
    "CKAP5 CKS1B CKS2 CTCF DLGAP5 ECT2 FAM64A G2E3 GAS2L3 GTSE1 HJURP HMGB2 HMMR HN1 KIF11 KIF20B KIF23 KIF2C LBR MKI67 "
    "NCAPD2 NDC80 NEK2 NUF2 NUSAP1 PSRC1 RANGAP1 SMC4 TACC3 TMPO TOP2A TPX2 TTK TUBB4B UBE2C".split()
)
"""Genes of G2 and M."""


def phase(cells: AnnData) -> np.ndarray:
    """Phase of each cell, G1, S or G2M, from the scores of the two lists against genes of like expression, `(cells,)`.

    The rule is scanpy's: G1 where both scores are negative, else the list with the larger one. It names a phase for every cell, of
    resting cells too, in which it is mostly noise.

    Raises:
        InputError: no gene of one of the lists was measured.

    Source: Satija et al. 2015, doi 10.1038/nbt.3192, by `scanpy.tl.score_genes_cell_cycle`.
    """
    import scanpy  # slow to import

    lists = [sorted(genes.intersection(cells.var_names)) for genes in (S_PHASE, G2_M)]
    if not all(lists):
        raise InputError(
            "No gene of S phase, or none of G2 and M, is among the genes; the cell cycle cannot be scored."
        )
    scored = AnnData(expression(cells), obs=cells.obs[[]].copy(), var=cells.var[[]].copy())
    scanpy.tl.score_genes_cell_cycle(scored, s_genes=lists[0], g2m_genes=lists[1], random_state=0)
    return scored.obs["phase"].to_numpy(str)
