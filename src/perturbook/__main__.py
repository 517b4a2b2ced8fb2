"""`python -m perturbook`."""

from perturbook.cli import main

main()
