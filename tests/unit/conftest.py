"""What all unit tests share."""

from hypothesis import settings

# No test asserts on wall-clock speed, so neither does hypothesis: the machine may be busy.
settings.register_profile("unit", deadline=None)
settings.load_profile("unit")
