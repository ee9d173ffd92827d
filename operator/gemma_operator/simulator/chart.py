"""Line charts as SVG, without a library and without anything to load."""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

Points = Sequence[tuple[float, float]]

COLOURS: Final = ("#1a73e8", "#d93025", "#188038", "#e37400", "#9334e6", "#12b5cb", "#5f6368", "#c5221f")
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 960, 220, 56, 12, 12, 26
_MOST_POINTS = 700


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One curve."""

    name: str
    points: Points
    colour: str
    steps: bool = False


def thinned(points: Points) -> Points:
    """At most a few hundred points; each keeps the largest value of those that it stands for."""
    if len(points) <= _MOST_POINTS:
        return points
    size = -(-len(points) // _MOST_POINTS)
    return [
        (points[start][0], max(value for _, value in points[start : start + size]))
        for start in range(0, len(points), size)
    ]


def _nice(top: float) -> float:
    """A round number at least as large."""
    scale = 1.0
    while scale * 10 <= top:
        scale *= 10
    while scale > top and scale > 1e-9:
        scale /= 10
    return next((scale * factor for factor in (1, 2, 2.5, 5, 10) if scale * factor >= top), top) or 1.0


def _label(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:.2g}"


def chart(title: str, lines: Sequence[Line], *, end: float, unit: str = "") -> str:
    """One SVG element: hours below, the unit at the left."""
    top = _nice(max((value for line in lines for _, value in line.points), default=1.0))
    wide, high = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    end = max(end, 1.0)

    def place(at: float, value: float) -> str:
        return f"{_LEFT + wide * min(at / end, 1.0):.1f},{_TOP + high * (1 - min(value / top, 1.0)):.1f}"

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(title)}">']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = _TOP + high * (1 - share)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{_label(top * share)}</text>')
    for tick in range(7):
        x = _LEFT + wide * tick / 6
        hours = end * tick / 6 / 3600
        text = f"{hours:.1f} h" if end >= 5 * 3600 else f"{hours * 60:.0f} min"
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 8}" text-anchor="middle">{text}</text>')
    for line in lines:
        path = []
        before = ""
        for at, value in thinned(line.points):
            spot = place(at, value)
            if line.steps and before:
                path.append(f"{spot.split(',')[0]},{before.split(',')[1]}")
            path.append(spot)
            before = spot
        parts.append(f'<polyline stroke="{line.colour}" points="{" ".join(path)}"/>')
    parts.append("</svg>")
    unit_words = f" <small>{escape(unit)}</small>" if unit else ""
    return f"<h2>{escape(title)}{unit_words}</h2>{''.join(parts)}"
