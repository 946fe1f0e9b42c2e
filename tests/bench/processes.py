"""
What processes cost, from /proc: processor time of a master and all below it, and their memory.
"""
import glob
import os

TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


def stat(pid):
	"""The fields after the name, or None when it is gone."""
	try:
		with open(f"/proc/{pid}/stat") as f:
			text = f.read()
	except OSError:
		return None
	return text[text.rindex(")") + 2:].split()


def tree(master):
	"""The pids of a process and all its descendants."""
	parents = {}
	for path in glob.glob("/proc/[0-9]*/stat"):
		pid = int(path.split("/")[2])
		fields = stat(pid)
		if fields and fields[0] != "Z":
			parents.setdefault(int(fields[1]), []).append(pid)
	found, todo = [], [master]
	while todo:
		pid = todo.pop()
		found.append(pid)
		todo += parents.get(pid, [])
	return found


def threads_ns(pid):
	total = 0
	for path in glob.glob(f"/proc/{pid}/task/*/schedstat"):
		try:
			with open(path) as f:
				total += int(f.read().split()[0])
		except OSError:
			pass
	return total


def cpu_ns(master):
	"""Of the living by the scheduler's own count in ns; of children that ended meanwhile, in ticks, from those who waited."""
	total = 0
	for pid in tree(master):
		fields = stat(pid)
		if fields:
			total += threads_ns(pid) + (int(fields[13]) + int(fields[14])) * TICK_NS
	return total


def name_of(pid):
	try:
		with open(f"/proc/{pid}/comm") as f:
			return f.read().strip()
	except OSError:
		return None


def by_name_ns(master):
	"""{name: ns}, for seeing which process the time goes to."""
	found = {}
	for pid in tree(master):
		name = name_of(pid)
		if name:
			found[name] = found.get(name, 0) + threads_ns(pid)
	return found


def pss_bytes(master, name=None):
	"""Proportional set size: what is shared counts once. Of all processes, or of those of one name."""
	total = 0
	for pid in tree(master):
		if name and name_of(pid) != name:
			continue
		try:
			with open(f"/proc/{pid}/smaps_rollup") as f:
				for line in f:
					if line.startswith("Pss:"):
						total += int(line.split()[1]) * 1024
		except OSError:
			pass
	return total
