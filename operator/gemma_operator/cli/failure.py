"""How a command ends: 0 done, 1 error, 2 no plan fits."""

from pydantic import ValidationError


class CliError(Exception):
    """Something a person must correct; the text says what, where and how."""


class NoCluster(CliError):
    """There is no API server to talk to."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}: {remedy}")
        self.problem = problem
        self.remedy = remedy


class NothingFits(SystemExit):
    """Exit code 2: a plan was asked for and none fits."""

    def __init__(self) -> None:
        super().__init__(2)


def fields(error: ValidationError, *, prefix: str) -> str:
    """One line for every wrong field of a pydantic model, such as `spec.context: ...`."""
    lines = []
    for item in error.errors(include_url=False):
        where = ".".join([prefix, *(str(part) for part in item["loc"])]) if prefix else ".".join(map(str, item["loc"]))
        message = item["msg"].removeprefix("Value error, ")
        if item["type"] == "extra_forbidden":
            message = "unknown field: remove it or correct its spelling"
        lines.append(f"{where or 'document'}: {message}")
    return "\n".join(lines)
