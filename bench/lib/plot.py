"""Bars as SVG: how many times fewer instructions Xok takes, a row a bar; 1 is Linux."""
from xml.sax.saxutils import escape

from lib import tables

ROW, LEFT, WIDTH = 18, 250, 420


def bars(title, rows):
    pairs = [(r["label"], tables.median(r, "linux"), tables.median(r, "xok")) for r in rows]
    values = [(label, linux / xok) for label, linux, xok in pairs if linux and xok]
    scale = WIDTH / max(v for _, v in values)
    height = ROW * len(values) + 40
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 60}" height="{height}" '
             'font-family="sans-serif" font-size="12">', '<rect width="100%" height="100%" fill="white"/>',
             f'<text x="8" y="18" font-weight="bold">{escape(title)}</text>']
    for n, (label, value) in enumerate(values):
        y = 30 + n * ROW
        parts.append(f'<text x="{LEFT - 6}" y="{y + 12}" text-anchor="end">{escape(label)}</text>'
                     f'<rect x="{LEFT}" y="{y + 2}" width="{value * scale:.1f}" height="{ROW - 5}" fill="#4878a8"/>'
                     f'<text x="{LEFT + value * scale + 4:.1f}" y="{y + 12}">{value:.1f}</text>')
    x = LEFT + scale
    parts.append(f'<line x1="{x:.1f}" y1="26" x2="{x:.1f}" y2="{height - 8}" stroke="#c04040" stroke-dasharray="3 2"/></svg>')
    return "\n".join(parts) + "\n"
