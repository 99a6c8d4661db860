#!/usr/bin/python3
"""What a run on many hosts costs, compared with what its parts cost on this machine in the same minutes.

Yardsticks: F, how many /bin/true one process starts and reaps in a second; H, how many full mutual TLS 1.3 handshakes
with P-256 certificates one thread does in a second, both ends, in memory; R, the same resumed by a ticket. The rows are
those of docs/performance.md. In each round the yardsticks are measured anew and each row is compared with them; the
median of the rounds counts, so that other work on the machine disturbs both alike. Started by `./dev bench`.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
os.environ.setdefault("CTRL_EXEC_BIN_DIR", str(ROOT / "build/release"))
os.environ.setdefault("CTRL_EXEC_BUILD", "release")
sys.path.insert(0, str(ROOT / "test/system"))

from api import serve_api  # noqa: E402
from deployment import BIN, Deployment  # noqa: E402
from fleet import Fleet, program  # noqa: E402
from processes import DEADLINE  # noqa: E402

BUILT = program().parent.parent  # where the helpers of the benchmarks are
CORES = 2.0 if os.cpu_count() is None else float(os.cpu_count())
PAGE = ROOT / "docs/performance.md"
PLOT, NUMBERS = ROOT / "docs/performance.svg", ROOT / "docs/performance.json"
BEGIN, END = "<!-- written by ./dev bench --write-docs -->", "<!-- end -->"
SECONDS = 1  # of each measurement of a yardstick or a rate
DEADLINES = 5  # read_timeout and connect_timeout where agents stall
RUN_SECONDS = 600
LONE_RUNS = 30  # of one CLI run on one host, and of what it is compared with
SMALL = 100  # hosts: what one costs there is what it may cost, but for a factor, in a large fleet
SMALL_RUNS = 10


def api_bench():
    """The other benchmark's module; `api` is another one here."""
    spec = importlib.util.spec_from_file_location("api_bench", pathlib.Path(__file__).with_name("api.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def rate(*words):
    done = subprocess.run([BUILT / "bench" / words[0], str(SECONDS), *words[1:]], capture_output=True, text=True,
                          check=True, timeout=SECONDS + DEADLINE)
    return float(done.stdout)


def yardsticks():
    return {"F": rate("spawn-rate"), "H": rate("handshake-rate", "full"), "R": rate("handshake-rate", "resumed")}


def measured(words, times=1, output="/dev/null"):
    """What `ctrl-exec-fleet measure` tells of each of these runs."""
    done = subprocess.run([str(word) for word in (program(), "measure", times, output, *words)], check=True, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=RUN_SECONDS,
                          env=dict(os.environ, CTRL_EXEC_LOG="none", USER="operator"))
    return [json.loads(line) for line in done.stdout.splitlines()]


def processor(run):
    return run["user"] + run["system"]


class Hosts:
    """The hosts of one fleet, and the CLI that runs `true` on them."""

    def __init__(self, deployment, names):
        self.deployment, self.names = deployment, names
        self._tickets = deployment.state / "tls-tickets"
        self._output = deployment.directory / "output.json"

    def forget_tickets(self):
        self._tickets.unlink(missing_ok=True)

    def forget(self):
        """Also the locks of earlier runs, whose files cost more when they are made than later."""
        self.forget_tickets()
        shutil.rmtree(self.deployment.state / "locks", ignore_errors=True)

    def argv(self, names):
        return [BIN / "ctrl-exec-dispatcher", "--config", self.deployment.config, "--json", "run", *names, "true"]

    def run(self, names=None, expected=None):
        """One run; `expected`: how many of the hosts end with which outcome."""
        names = names or self.names
        run = measured(self.argv(names), output=self._output)[0]
        outcomes = {}
        results = json.loads(self._output.read_text())["results"]
        for result in results:
            outcomes[result["outcome"]] = outcomes.get(result["outcome"], 0) + 1
        if outcomes != (expected or {"ok": len(names)}):
            raise AssertionError(f"{len(names)} hosts: {outcomes}, expected {expected or 'ok from all'}: " +
                                 next((json.dumps(r) for r in results if r["outcome"] not in ("ok", "missing")), ""))
        run["results"] = results
        return run


class Row:
    """One line of the table: each round's figure and the bound that it must keep, both in `unit`."""

    def __init__(self, name, unit, bound_text, at_least=False):
        self.name, self.unit, self.bound_text, self.at_least = name, unit, bound_text, at_least
        self.rounds = []

    def add(self, figure, bound, **more):
        self.rounds.append({"figure": figure, "bound": bound, **more})

    def _median(self, value):
        return statistics.median(value(each) for each in self.rounds)

    @property
    def figure(self):
        return self._median(lambda each: each["figure"])

    @property
    def bound(self):
        return self._median(lambda each: each["bound"])

    @property
    def ratio(self):
        return self._median(lambda each: each["figure"] / each["bound"])

    @property
    def share(self):
        """How much of what is permitted it takes; up to 1 it holds."""
        return 1 / self.ratio if self.at_least else self.ratio

    @property
    def holds(self):
        return self.share <= 1

    def cells(self):
        sign = "≥" if self.at_least else "≤"
        return (self.name, text(self.figure, self.unit), f"{sign} {text(self.bound, self.unit)}", self.bound_text,
                f"{self.ratio:.2f}", "holds" if self.holds else "does not hold")

    def document(self):
        return {"name": self.name, "unit": self.unit, "figure": self.figure, "bound": self.bound, "ratio": self.ratio,
                "at_least": self.at_least, "holds": self.holds, "rounds": self.rounds}


def text(value, unit):
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:.{digits}f} {unit}"


class Bench:
    def __init__(self, few, many):
        self.few, self.many = few, many
        count, crowd = f"{few:,}", f"{many:,}"
        self.cold = Row(f"run on {count} agents, cold", "s", f"1.5 x ({count}/({CORES:.0f}H) + {count}/F)")
        self.resumed = Row(f"run on {count} agents, resumed", "s", f"1.5 x ({count}/({CORES:.0f}R) + {count}/F)")
        self.api = Row("POST /run by 32 clients, agents kept alive", "/s", "0.5 F", at_least=True)
        self.lone = Row("run on one agent, over a bare fork and exec", "ms", "10 ms")
        self.crowd = Row(f"run on {crowd} agents, 100 ms away, 1 % dead, 1 % stalled", "s",
                         f"30 s and the deadline of {DEADLINES} s")
        self.memory = Row("memory of that run's CLI", "MB", "300 MB")
        self.growth = Row(f"processor time for a host of {crowd}", "ms", f"1.3 x that for a host of {SMALL}")
        self.rows = [self.cold, self.resumed, self.api, self.lone, self.crowd, self.memory, self.growth]
        self.yards = []

    def measure(self, rounds, crowd_rounds):
        # Beside the build: /tmp may be in memory, where it costs nothing to make a file durable.
        tempfile.tempdir = str(ROOT / "build/bench")
        pathlib.Path(tempfile.tempdir).mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            few = stack.enter_context(Deployment())
            stack.enter_context(Fleet(few, self.few, processes=True))
            few = Hosts(few, [f"agent-{number:05}" for number in range(1, self.few + 1)])
            for number in range(rounds):
                print(f"round {number + 1} of {rounds}", file=sys.stderr)
                self._few(few)
        with Deployment(api_port=0, api_auth_default="allow") as served:
            self._api(served, rounds)
        with Deployment(read_timeout=DEADLINES, connect_timeout=DEADLINES) as many:
            with Fleet(many, self.many, dead=1, stalled=1, latency=100) as fleet:
                for number in range(crowd_rounds):
                    print(f"{self.many} agents, round {number + 1} of {crowd_rounds}", file=sys.stderr)
                    self._many(Hosts(many, fleet.names), fleet)

    def _yards(self):
        self.yards.append(yardsticks())
        return self.yards[-1]

    def _few(self, hosts):
        yard = self._yards()
        started = self.few / yard["F"]
        hosts.forget_tickets()
        cold, resumed = hosts.run(), hosts.run()
        self.cold.add(cold["wall"], 1.5 * (self.few / (CORES * yard["H"]) + started), cpu=processor(cold))
        self.resumed.add(resumed["wall"], 1.5 * (self.few / (CORES * yard["R"]) + started), cpu=processor(resumed))
        # By turns, so that both meet the same machine.
        one, bare = hosts.argv(hosts.names[:1]), ["/bin/true"]
        pairs = [(measured(one)[0], measured(bare)[0]) for _ in range(LONE_RUNS)]
        if any(each["exit"] != 0 for pair in pairs for each in pair):
            raise AssertionError(f"a run on {hosts.names[0]} has failed")
        over = statistics.median(run["wall"] for run, _ in pairs) - statistics.median(true["wall"] for _, true in pairs)
        self.lone.add(over * 1000, 10, cpu=statistics.median(processor(run) for run, _ in pairs))

    def _api(self, deployment, rounds):
        bench = api_bench()
        agent = bench.serve_agent(deployment)
        api = serve_api(deployment)
        pairs = bench.compare(rounds, lambda: bench.run_rate(api, agent.name, SECONDS), lambda: rate("spawn-rate"))
        for figure, yardstick in pairs:
            self.api.add(figure, 0.5 * yardstick)

    def _many(self, hosts, fleet):
        hosts.forget()
        gone = sum(len(fleet.of(conduct)) for conduct in ("dead", "silent", "stalled"))
        run = hosts.run(expected={"ok": self.many - gone, "missing": gone} if gone else None)
        self._told_apart(run, fleet)
        self.crowd.add(run["wall"], 30 + DEADLINES, cpu=processor(run))
        self.memory.add(run["maxrss"] / 1e6, 300)
        cost = []
        for _ in range(SMALL_RUNS):
            hosts.forget()
            cost.append(processor(hosts.run(fleet.healthy[:SMALL])) / SMALL)
        self.growth.add(processor(run) / self.many * 1000, 1.3 * statistics.median(cost) * 1000)

    @staticmethod
    def _told_apart(run, fleet):
        words = {"dead": "refused", "silent": "handshake", "stalled": "no answer"}
        errors = {result["host"]: result.get("error", "") for result in run["results"]}
        for conduct, word in words.items():
            for name in fleet.of(conduct):
                if word not in errors[name]:
                    raise AssertionError(f"{name} is {conduct}, but: {errors[name]}")

    def document(self):
        return {"load": os.getloadavg(), "cores": CORES, "yardsticks": self.yards,
                "rows": [row.document() for row in self.rows]}

    def yardstick_line(self):
        medians = {name: statistics.median(each[name] for each in self.yards) for name in self.yards[0]}
        return (f"F = {medians['F']:.0f}/s (fork, exec and wait), H = {medians['H']:.0f}/s (full handshakes), "
                f"R = {medians['R']:.0f}/s (resumed), {CORES:.0f} cores")


HEADS = ("what", "measured", "bound", "which is", "measured / bound", "")


def print_table(bench):
    print(bench.yardstick_line())
    lines = [HEADS, *(row.cells() for row in bench.rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())


def write_docs(bench):
    rows = ["| " + " | ".join(HEADS) + " |", "|" + "---|" * len(HEADS)]
    rows += ["| " + " | ".join(row.cells()) + " |" for row in bench.rows]
    before, rest = PAGE.read_text().split(BEGIN, 1)
    after = rest.split(END, 1)[1]
    PAGE.write_text(f"{before}{BEGIN}\n" + "\n".join(rows) + f"\n\n{bench.yardstick_line()}.\n{END}{after}")
    PLOT.write_text(plot(bench))
    NUMBERS.write_text(json.dumps(bench.document(), indent=1) + "\n")


def plot(bench):
    """Bars: how much of its bound each row takes."""
    height, left, scale = 34, 420, 300  # pixels a bar, to its beginning, up to the bound
    bottom = 50 + height * len(bench.rows)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + 2 * scale} {bottom + 30}" '
             'font-family="sans-serif" font-size="13">',
             '<rect width="100%" height="100%" fill="#fff"/>',
             f'<text x="10" y="24" font-size="15">How much of its bound each figure takes</text>']
    for number, row in enumerate(bench.rows):
        top = 44 + height * number
        width = min(row.share, 1.9) * scale
        parts += [f'<text x="{left - 10}" y="{top + 16}" text-anchor="end">{row.name}</text>',
                  f'<rect x="{left}" y="{top}" width="{width:.1f}" height="{height - 12}" '
                  f'fill="{"#3a7d44" if row.holds else "#b3261e"}"/>',
                  f'<text x="{left + width + 6:.1f}" y="{top + 16}">{text(row.figure, row.unit)}</text>']
    parts += [f'<line x1="{left + scale}" y1="36" x2="{left + scale}" y2="{bottom}" stroke="#000" '
              'stroke-dasharray="4 3"/>',
              f'<text x="{left + scale}" y="{bottom + 18}" text-anchor="middle">bound</text>', '</svg>']
    return "\n".join(parts) + "\n"


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__.split("\n")[0])
    parser.add_argument("--json", metavar="FILE", help="write all raw numbers there")
    parser.add_argument("--quick", action="store_true", help="a smaller fleet and fewer rounds: says little")
    parser.add_argument("--rounds", type=int, default=5, choices=range(1, 101), metavar="N", help="default: 5")
    parser.add_argument("--write-docs", action="store_true", help="write docs/performance.md's table, plot and numbers")
    options = parser.parse_args()
    busy = os.getloadavg()[0]
    if busy > 1:
        print(f"The machine is busy (load {busy:.1f}): the figures vary more.", file=sys.stderr)
    bench = Bench(100, 300) if options.quick else Bench(1000, 10000)
    bench.measure(2 if options.quick else options.rounds, 1 if options.quick else (options.rounds + 1) // 2)
    print_table(bench)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(bench.document(), indent=2) + "\n")
    if options.write_docs:
        write_docs(bench)
    return 0 if all(row.holds for row in bench.rows) else 1


if __name__ == "__main__":
    sys.exit(main())
