"""Plans, renders and runs Gemma 4 on Kubernetes."""

__version__ = "0.1.0"
