"""What runs inside the LiteLLM proxy."""
