"""
The bench's results as text: a table in Markdown with ratios, and the plot of cost against the depth of the queue.
"""
import math


def number(value):
	if value is None:
		return "-"
	if value >= 100:
		return f"{value:,.0f}"
	return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(results, targets):
	"""results: {(name, unit): {"minimta": value, "postfix": value, …}}; targets: {name: function(row) -> text or None}."""
	lines = ["| what | unit | minimta | postfix | minimta : postfix | direct | target |", "|---|---|---:|---:|---:|---:|---|"]
	for (name, unit), row in results.items():
		m, p = row.get("minimta"), row.get("postfix")
		ratio = "-" if not m or not p else f"{m / p:.1f} : 1" if m >= p else f"1 : {p / m:.1f}"
		target = targets.get(name, lambda row: "")(row) or ""
		lines.append(f"| {name} | {unit} | {number(m)} | {number(p)} | {ratio} | {number(row.get('direct'))} | {target} |")
	return "\n".join(lines)


def filters(waits, added, whole, own):
	"""Of tests/bench/filters.py: {whose: (s, s)}, {filter: {sessions or "processor": value}}, the latter of a message, {filter: µs}."""
	lines = ["| client, with every filter on | s for the greeting | ms for all replies |", "|---|---:|---:|"]
	lines += [f"| {whose} | {greeting:.2f} | {replies * 1000:.1f} |" for whose, (greeting, replies) in waits.items()]
	lines += ["", "| filter | adds ms: 1 session | 100 | 1,000 | processor, µs/message | of it smtpd's own |",
		"|---|---:|---:|---:|---:|---:|"]
	for name, row in [*added.items(), ("a message with all, in all", whole)]:
		lines.append(f"| {name} | " + " | ".join(f"{row[s]:.2f}" for s in (1, 100, 1000)) + f" | {row['processor']:.0f} | {number(own.get(name))} |")
	return "\n".join(lines)


def plot(series, title, unit):
	"""series: {name: {depth: value}}. Logarithmic both ways, as characters; a column per depth."""
	depths = sorted({d for points in series.values() for d in points})
	values = [v for points in series.values() for v in points.values() if v > 0]
	if not values:
		return ""
	rows = 14
	low, high = math.log10(min(values)) - 0.15, math.log10(max(values)) + 0.15
	grid = [[" "] * (12 * len(depths)) for _ in range(rows)]
	for name, points in series.items():
		for column, depth in enumerate(depths):
			if points.get(depth, 0) > 0:
				row = int((math.log10(points[depth]) - low) / (high - low) * (rows - 1) + 0.5)
				for i, c in enumerate(f"{name[0]} {number(points[depth])}"):
					grid[rows - 1 - row][column * 12 + 2 + i] = c
	lines = [f"{title} ({unit}; logarithmic; " + ", ".join(f"{n[0]} = {n}" for n in series) + ")"]
	for i, line in enumerate(grid):
		tick = number(10 ** (high - (high - low) * i / (rows - 1))) if i % 3 == 0 else ""
		lines.append(f"{tick:>8} |" + "".join(line).rstrip())
	lines.append(" " * 9 + "+" + "-" * (12 * len(depths)))
	lines.append(" " * 10 + "".join(f"  {d:<10,}" for d in depths) + " messages deferred")
	return "\n".join(lines)
