"""Background processes are known by their folder, ended, and never mistaken for others."""

import gc
import subprocess
import sys
from pathlib import Path

from localk8s.processes import PORTS, Processes, free_ports, wait_until


def test_a_process_is_started_and_ended(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    processes.start("sleeper", [sys.executable, "-c", "import time; print('hello', flush=True); time.sleep(600)"])
    try:
        wait_until(lambda: "hello" in processes.tail("sleeper"), what="output", seconds=20)
        assert processes.is_running("sleeper")
    finally:
        processes.stop("sleeper")
    assert not processes.is_running("sleeper")
    assert processes.names() == []


def test_a_process_outlives_the_object_that_started_it(tmp_path: Path) -> None:
    Processes(tmp_path).start("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"])
    gc.collect()  # a warning of a collected Popen would fail this test
    assert Processes(tmp_path).is_running("sleeper")
    Processes(tmp_path).stop("sleeper")
    assert not Processes(tmp_path).is_running("sleeper")


def test_one_that_does_not_listen_is_ended_all_the_same(tmp_path: Path) -> None:
    processes = Processes(tmp_path)
    deaf = "import signal as s,time; s.signal(s.SIGTERM, s.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    processes.start("deaf", [sys.executable, "-c", deaf])
    wait_until(lambda: "deaf" in processes.tail("deaf"), what="output", seconds=20)
    processes.stop("deaf", grace=0.2)
    assert not processes.is_running("deaf")


def test_a_process_of_others_with_the_same_number_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, cwd="/") as other:
        (tmp_path / "ours.pid").write_text(str(other.pid))
        processes = Processes(tmp_path)
        assert not processes.is_running("ours")
        processes.stop("ours")
        assert other.poll() is None
        assert other.stdin is not None
        other.stdin.write(b"\n")
        other.stdin.close()
        other.wait(timeout=20)


def test_ports_are_different_and_below_the_usual_range_of_clients() -> None:
    ports = free_ports(6)
    assert len(set(ports)) == 6
    assert all(port in PORTS for port in ports)
