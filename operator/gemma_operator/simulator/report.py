"""The report of a simulation as one HTML page that loads nothing."""

from collections.abc import Sequence
from html import escape

from gemma_operator.simulator.chart import COLOURS, Line, chart
from gemma_operator.simulator.table import COLUMNS, cells
from gemma_operator.simulator.types import Result, Trace

_STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1000px;margin:2rem auto;padding:0 1rem;color:#202124;background:#fff}
h1{font-size:1.5rem}h2{font-size:1.05rem;margin:1.6rem 0 .2rem}small{color:#5f6368;font-weight:400}
table{border-collapse:collapse;width:100%}th,td{text-align:right;padding:.3rem .5rem;border-bottom:1px solid #dadce0}
th:first-child,td:first-child{text-align:left}
svg{width:100%}svg text{font:11px system-ui,sans-serif;fill:#5f6368}polyline{fill:none;stroke-width:1.6}
.grid{stroke:#eceff1}.dot{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.4em}
pre{white-space:pre-wrap;font-size:12px;background:#f8f9fa;padding:.8rem}
"""
_MOST_REASONS = 200


def html(trace: Trace, results: Sequence[Result], *, facts: Sequence[str]) -> str:
    """The page: table, plots of load, replicas, queue and TTFT, and why each policy of ours did what it did."""
    colours = {result.policy: COLOURS[index % len(COLOURS)] for index, result in enumerate(results)}
    end = trace.duration
    body = [f"<h1>{escape(trace.name)}: {len(trace):,} requests in {end / 3600:.2f} h</h1>"]
    body += [f"<p>{escape(line)}</p>" for line in facts]
    body.append(_table(results, colours))
    body.append(chart("Load", [Line(name="load", points=_load(trace), colour="#5f6368")], end=end, unit="requests/s"))
    body.append(_plot("Replicas", results, colours, end, "replicas", "loading and draining included"))
    body.append(_plot("Queue", results, colours, end, "queued", "requests that wait"))
    late = [Line(name=r.policy, points=r.late, colour=colours[r.policy]) for r in results]
    body.append(chart("Time to first token", late, end=end, unit="p95 of each minute, seconds"))
    for result in results:
        if result.reasons:
            lines = [*result.reasons[:_MOST_REASONS]]
            if len(result.reasons) > _MOST_REASONS:
                lines.append(f"… {len(result.reasons) - _MOST_REASONS} more")
            body.append(f"<h2>Decisions of {escape(result.policy)}</h2><pre>{escape(chr(10).join(lines))}</pre>")
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(trace.name)}</title><style>{_STYLE}</style></head><body>{''.join(body)}</body></html>\n"
    )


def _table(results: Sequence[Result], colours: dict[str, str]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in COLUMNS)
    rows = []
    for result in results:
        first, *rest = cells(result)
        dot = f'<span class="dot" style="background:{colours[result.policy]}"></span>'
        rows.append(f"<tr><td>{dot}{escape(first)}</td>{''.join(f'<td>{escape(cell)}</td>' for cell in rest)}</tr>")
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _plot(title: str, results: Sequence[Result], colours: dict[str, str], end: float, field: str, unit: str) -> str:
    lines = [
        Line(
            name=result.policy,
            points=[(point.at, float(getattr(point, field))) for point in result.timeline],
            colour=colours[result.policy],
            steps=field == "replicas",
        )
        for result in results
    ]
    return chart(title, lines, end=end, unit=unit)


def _load(trace: Trace) -> list[tuple[float, float]]:
    """Arrivals per second, in minutes or finer."""
    width = max(min(60.0, trace.duration / 200), 1.0)
    counts: dict[int, int] = {}
    for at in trace.arrivals:
        counts[int(at / width)] = counts.get(int(at / width), 0) + 1
    return [(slot * width, counts.get(slot, 0) / width) for slot in range(int(trace.duration / width) + 1)]
