"""Runs the operator: `python -m gemma_operator.controller`."""

from gemma_operator.controller.main import main

main()
