"""SIGTERM: what happens to running, waiting and new requests, with and without `--shutdown-timeout`."""

from conformance.conftest import FLAGS
from conformance.engines import Engine, Kind, Stream, running, wait_for

REFUSED = "cannot schedule new futures after shutdown"


def open_streams(engine: Engine, *, count: int, tokens: int) -> list[Stream]:
    streams = [engine.stream(max_tokens=tokens) for _ in range(count)]
    wait_for("two streams to run", lambda: sum(s.started() for s in streams) == 2, seconds=60)
    wait_for(
        "the others to wait",
        lambda: engine.gauge("vllm:num_requests_waiting") == count - 2,
        seconds=60,
    )
    return streams


def refuses_new_requests(engine: Engine) -> bool:
    answer = engine.chat(max_tokens=1)
    return answer.status == 500 and answer.json["error"]["message"] == REFUSED


def test_drain_lets_running_and_waiting_requests_end(kind: Kind) -> None:
    with running(kind, [*FLAGS, "--shutdown-timeout=120"]) as engine:
        streams = open_streams(engine, count=3, tokens=1500)
        engine.terminate()
        wait_for("new requests to be refused", lambda: refuses_new_requests(engine), seconds=10)
        assert engine.request("GET", "/health").status == 200
        assert engine.request("GET", "/metrics").status == 200
        for stream in streams:
            wait_for("the streams to end", stream.ended, seconds=120)
            assert stream.done
            assert not stream.errors()
            assert stream.finish_reason() == "length"
            assert stream.usage()["completion_tokens"] == 1500
        assert engine.wait_exit(seconds=60) == 0
        assert not engine.accepts_connections()


def test_drain_gives_up_after_the_timeout(kind: Kind) -> None:
    with running(kind, [*FLAGS, "--shutdown-timeout=2"]) as engine:
        streams = open_streams(engine, count=2, tokens=8000)
        engine.terminate()
        wait_for("the port to close", lambda: not engine.accepts_connections(), seconds=60)
    # The engine was killed, as the kubelet does in the end; some of its versions hang until then.
    for stream in streams:
        wait_for("the connection to break", stream.ended, seconds=10)
        assert stream.usage() is None or stream.errors()
        assert stream.finish_reason() is None


def test_without_timeout_streams_are_aborted(kind: Kind) -> None:
    with running(kind, FLAGS) as engine:
        streams = open_streams(engine, count=2, tokens=8000)
        engine.terminate()
        wait_for("the port to close", lambda: not engine.accepts_connections(), seconds=60)
        for stream in streams:
            wait_for("the streams to end", stream.ended, seconds=30)
            assert stream.usage() is None or stream.usage()["completion_tokens"] < 8000
            assert stream.finish_reason() != "length"
        engine.wait_exit(seconds=60)


def test_an_idle_engine_ends_at_once(kind: Kind) -> None:
    with running(kind, [*FLAGS, "--shutdown-timeout=120"]) as engine:
        engine.terminate()
        assert engine.wait_exit(seconds=60) == 0
