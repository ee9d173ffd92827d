"""Scripts that are mounted into engine pods; standard library only, because the image decides what else is there."""
