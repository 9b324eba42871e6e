"""`python -m wor.cli`, the same as `wor`."""

from wor.cli import main

main()
