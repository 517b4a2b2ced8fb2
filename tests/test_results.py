"""The gate between the deposited predictions of this repository and the numbers of its book."""

from perturbook.pages import deposit
from perturbook.pages.table import pages


def test_every_scored_page_is_deposited_and_scores_as_it_did_from_models_that_have_not_changed():
    agreed = {line.split(":")[0] for line in deposit.check()}
    full = {page.id for page in pages() if page.tier == "full"}  # of data that only its readers have
    assert agreed == {page.id for page in pages() if page.studied} - full
