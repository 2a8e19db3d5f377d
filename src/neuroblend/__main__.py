"""``python -m neuroblend``: the command line."""

from neuroblend.cli import main

main()
