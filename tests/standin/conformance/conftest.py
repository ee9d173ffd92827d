"""`pytest tests/standin/conformance [--engine standin|real]`: the same checks against either engine."""

from collections.abc import Iterator

import pytest
from conformance.engines import Engine, Kind, real, running, standin

FLAGS = (
    "--served-model-name",
    "chat",
    "gpt-4o-mini",
    "--max-model-len=8192",
    "--max-num-batched-tokens=4096",
    "--max-num-seqs=2",
    "--kv-cache-memory-bytes=536870912",
    "--enable-auto-tool-choice",
    "--tool-call-parser=gemma4",
    "--reasoning-parser=gemma4",
    "--disable-access-log-for-endpoints=/health,/metrics",
)
"""What the operator passes to an engine pod, for the tiny model."""

KEY = "conformance-key"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--engine", choices=("standin", "real"), default="standin", help="engine to check")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # The real engine starts in half a minute alone, and in more than five on a machine busy with other tests.
    if config.getoption("--engine", default="standin") == "real":
        for item in items:
            item.add_marker(pytest.mark.timeout(2400))


@pytest.fixture(scope="session")
def kind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kind:
    if request.config.getoption("--engine", default="standin") == "real":
        return real()
    return standin(tmp_path_factory.mktemp("standin"))


@pytest.fixture(scope="session")
def engine(kind: Kind) -> Iterator[Engine]:
    """One engine with an API key and two slots, shared by all tests that leave it as it was."""
    with running(kind, FLAGS, key=KEY) as started:
        yield started
