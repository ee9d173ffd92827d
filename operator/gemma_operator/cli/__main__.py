"""`python -m gemma_operator.cli`: the command line where the script is not installed."""

from gemma_operator.cli.main import main

main()
