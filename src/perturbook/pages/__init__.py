"""Pages: what notebooks call, and the machinery that turns one table of pages into a book."""

from perturbook.pages.design import columns_of
from perturbook.pages.study import Design, Study, bundle_folder, run
from perturbook.pages.vega import enable as begin

__all__ = ["Design", "Study", "begin", "bundle_folder", "columns_of", "run"]
