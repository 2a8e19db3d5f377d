"""``python -m neuroblend``: the command line."""

from neuroblend.cli.main import main

main()
