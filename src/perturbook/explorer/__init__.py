"""The concept explorer: an atlas of features as tables, and the static site an expert reads it in."""
