"""How others scale, for comparison: each from its published formula and defaults."""
