"""``python -m ichnode``."""

from ichnode.cli.main import main

main()
