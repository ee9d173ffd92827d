"""Facts as data: models, checkpoints, accelerators, engine images."""
