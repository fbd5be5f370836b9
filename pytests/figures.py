"""Prints what the benches found as one table. Usage: figures.py FILE, with one figure in JSON a line."""

import json
import pathlib
import sys

COLUMNS = ("figure", "value", "unit", "yardstick", "ratio", "target", "ok")


def cell(value):
    if isinstance(value, bool):
        return "yes" if value else "NO"
    if isinstance(value, float):
        return f"{value:,.2f}" if value < 1000 else f"{value:,.0f}"
    return "" if value is None else str(value)


def main(path):
    figures = [json.loads(line) for line in pathlib.Path(path).read_text().splitlines()]
    rows = [COLUMNS, *([cell(figure.get(column)) for column in COLUMNS] for figure in figures)]
    widths = [max(map(len, column)) for column in zip(*rows)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip())


if __name__ == "__main__":
    main(*sys.argv[1:])
