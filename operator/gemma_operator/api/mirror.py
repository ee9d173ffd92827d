"""Image references in a registry of the site."""

from typing import Final

REGISTRY: Final = r"^[a-zA-Z0-9][-._a-zA-Z0-9]*(:[0-9]+)?(/[-._a-z0-9]+)*$"
"""A registry, with a path if need be, and no scheme."""


def mirrored(image: str, *, registry: str | None) -> str:
    """`image` with its registry replaced; unchanged without one.

    The first part of a reference is a registry when it has a dot or a colon or is `localhost`, as for container
    runtimes (distribution/reference, `splitDockerDomain`).
    """
    if not registry:
        return image
    first, slash, rest = image.partition("/")
    named = bool(slash) and ("." in first or ":" in first or first == "localhost")
    return f"{registry}/{rest if named else image}"
