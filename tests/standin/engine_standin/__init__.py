"""A stand-in for vLLM 0.32: its HTTP, metrics, flags, log lines and signals, and no model behind them.

It exists so that the operator, the router and the engines' life cycle can be tested where there is no GPU.
What it answers is made up; when, how fast, in which form and with which errors follows the real engine.
"""

VERSION = "0.32.0"
