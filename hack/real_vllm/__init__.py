"""The real vLLM for CPU on a machine without GPUs: reference for the planner, the stand-in and the logs."""
