"""Formats of traces, and what is refused with a line number."""

import gzip
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from gemma_operator.simulator.shape import faster, thinner, window
from gemma_operator.simulator.traces import TraceError, load_trace
from gemma_operator.simulator.types import Trace

DATA = Path(__file__).parents[2] / "data" / "traces"


def write(folder: Path, text: str, name: str = "trace.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            "azure.csv",
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03.5000000,10,2\n2023-11-16 18:17:05.0,20,0\n",
        ),
        (
            "azure_2024.csv",
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10 00:00:00.009930+00:00,10,2\n"
            "2024-05-10 00:00:01.509930+00:00,20,0\n",
        ),
        (
            "offsets.csv",
            "TIMESTAMP,ContextTokens,GeneratedTokens\n2024-05-10T00:00:00Z,10.0,2\n2024-05-09 22:00:01.5-02:00,20,0\n",
        ),
        ("moon.csv", "timestamp,input_length,output_length\n500,10,2\n2000,20,0\n"),
        (
            "moon.jsonl",
            '{"timestamp": 500, "input_length": 10, "output_length": 2, "hash_ids": [1]}\n\n'
            '{"timestamp": 2000, "input_length": 20, "output_length": 0}\n',
        ),
        ("plain.csv", "arrival_s,input_tokens,output_tokens\n0.5,10,2\n2.0,20,0\n"),
        ("turned.csv", "output_tokens,arrival_s,input_tokens\n0,2.0,20\n2,0.5,10\n"),
    ],
)
def test_formats(tmp_path: Path, name: str, text: str) -> None:
    trace = load_trace(write(tmp_path, text, name))
    assert list(trace.arrivals) == pytest.approx([0.0, 1.5])
    assert list(trace.inputs) == [10, 20]
    assert list(trace.outputs) == [2, 1]
    packed = tmp_path / f"{name}.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    again = load_trace(packed)
    assert (again.arrivals, again.inputs) == (trace.arrivals, trace.inputs)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "line 1: the header is 'a,b'"),
        ("", "line 1"),
        ("arrival_s,input_tokens,output_tokens\n", "no request in it"),
        ("arrival_s,input_tokens,output_tokens\n1,2,3\n1,x,3\n", "line 3: 'x' is no number of prompt tokens"),
        ("arrival_s,input_tokens,output_tokens\n1,2,3\n1,2,-3\n", "line 3: -3 output tokens"),
        ("arrival_s,input_tokens,output_tokens\n1,2,3\n\nnan,2,3\n", "line 4: the time of arrival 'nan'"),
        ("arrival_s,input_tokens,output_tokens\n-1,2,3\n", "line 2: the time of arrival"),
        ("arrival_s,input_tokens,output_tokens\n1,2\n", "line 2: 2 columns"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,2,3\n", "line 2: 'yesterday' is no time of arrival"),
        ('{"timestamp": 1, "input_length": 1, "output_length": 1}\n{"timestamp": 1}\n', "line 2: an object with"),
        ('{"timestamp": 1, "input_length": 1, "output_length": 1}\n{,\n', "line 2: not JSON"),
        (f'{{"timestamp": {"9" * 5000}}}', "line 1: not JSON"),
        ('{"timestamp": ' + "[" * 100_000, "line 1: not JSON"),
        (f'{{"timestamp": 1{"0" * 400}, "input_length": 1, "output_length": 1}}', "is no time of arrival"),
        ('{"timestamp": 1, "input_length": Infinity, "output_length": 1}', "line 1: inf is no number of prompt tokens"),
        ('{"timestamp": 1, "input_length": 1, "output_length": NaN}', "line 1: nan is no number of output tokens"),
        ('{"timestamp": 1, "input_length": 10.9, "output_length": 1}', "line 1: 10.9 is no number of prompt tokens"),
        ("arrival_s,input_tokens,output_tokens\n1,2,3\n1,10.9,3\n", "line 3: '10.9' is no number of prompt tokens"),
        (f"arrival_s,input_tokens,output_tokens,more\n1,2,3,\n1,2,3,{'x' * 200_000}\n", "line 3: field larger than"),
        ('arrival_s,input_tokens,output_tokens,more\n1,2,3,"a\nb"\n1,x,3,\n', "line 4: 'x' is no number"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n,2,3\n", "line 2: '' is no time of arrival"),
        (
            "arrival_s,input_tokens,output_tokens\n1700000000,2,3\n0,2,3\n",
            "line 2: arrives 19675.9 days after line 3; at most 60 days are replayed",
        ),
        ("arrival_s,input_tokens,output_tokens\n0,2,3\n1e300,2,3\n", "line 3: arrives 1.15741e+295 days after line 2"),
    ],
)
def test_refusals_name_the_line(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(TraceError) as refused:
        load_trace(path)
    assert words in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="cannot be read"):
        load_trace(tmp_path / "missing.csv")
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(b"no gzip")
    with pytest.raises(TraceError, match="cannot be read"):
        load_trace(broken)


def test_a_damaged_file_is_refused_with_the_line_where_it_breaks(tmp_path: Path) -> None:
    rows = "".join(f"{second},{second % 977},5\n" for second in range(20_000))
    packed = gzip.compress(f"arrival_s,input_tokens,output_tokens\n{rows}".encode())
    middle = len(packed) // 2
    damages = (
        packed[:middle],
        packed[:middle] + b"\xff" * 64 + packed[middle + 64 :],
        packed[:-8] + b"\0" * 8,
        packed + b"no more gzip",
    )
    for damage in damages:
        path = tmp_path / "damaged.csv.gz"
        path.write_bytes(damage)
        with pytest.raises(TraceError, match=r"damaged\.csv\.gz: line \d+: "):
            load_trace(path)
    latin = tmp_path / "latin.csv"
    latin.write_bytes(b"arrival_s,input_tokens,output_tokens,caf\xe9\n1,2,3,\n")
    with pytest.raises(TraceError, match="line 1: cannot be read"):
        load_trace(latin)


@pytest.mark.parametrize(
    ("name", "requests", "minutes", "prompt"),
    [("azure_llm_2023_conv", 19_366, 58, 1155), ("azure_llm_2023_code", 8_819, 57, 2048)],
)
def test_the_traces_that_come_with_the_tests(name: str, requests: int, minutes: int, prompt: int) -> None:
    trace = load_trace(DATA / f"{name}.csv.gz")
    assert len(trace) == requests
    assert trace.name == name
    assert trace.duration / 60 == pytest.approx(minutes, abs=1)
    assert sum(trace.inputs) / requests == pytest.approx(prompt, rel=0.01)


def test_speed_overlays_and_rate_thins(tmp_path: Path) -> None:
    rows = "".join(f"{second},5,5\n" for second in range(2000))
    trace = load_trace(write(tmp_path, f"arrival_s,input_tokens,output_tokens\n{rows}"))
    dense = faster(trace, 2.5, seed=1)
    assert len(dense) == pytest.approx(5000, rel=0.05)
    assert list(dense.arrivals) == sorted(dense.arrivals)
    assert dense.duration <= trace.duration + 2
    assert dense.arrivals == faster(trace, 2.5, seed=1).arrivals
    assert dense.arrivals != faster(trace, 2.5, seed=2).arrivals
    thin = thinner(trace, 0.25, seed=1)
    assert len(thin) == pytest.approx(500, rel=0.15)
    assert set(thin.arrivals) <= set(trace.arrivals)
    assert len(window(trace, 100, 200)) == 100
    assert window(trace, 100, 200).arrivals[0] == 0


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ((faster, 0), "--speed 0: give a number above 0"),
        ((faster, math.inf), "--speed inf: give a number above 0"),
        ((faster, math.nan), "--speed nan: give a number above 0"),
        ((faster, 1e300), r"--speed 1e\+300: at most 10,000,000 requests are replayed, the trace has 1$"),
        ((thinner, 1.5), "--rate 1.5: give a share"),
        ((thinner, math.nan), "--rate nan: give a share"),
    ],
)
def test_impossible_rates_are_refused(tmp_path: Path, change: tuple[Callable[..., Trace], float], words: str) -> None:
    trace = load_trace(write(tmp_path, "arrival_s,input_tokens,output_tokens\n1,2,3\n"))
    with pytest.raises(ValueError, match=words):
        change[0](trace, change[1], seed=1)
