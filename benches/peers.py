#!/usr/bin/env python3
"""Fireside beside servers that others wrote, in one run on one machine: one command, one table.

    cargo build --release && python3 benches/peers.py PEERS [--only fastapi,openwebui,aichat,limits] [--out TABLE.md]

PEERS is a folder with the peers and the load driver (load/compare.py, load/openwebui.py, peer_*/run.sh, fake_llm/); it is
not part of this repository, and nothing but this needs it. wrk and, for each peer, what its run.sh installs must be there;
aichat is taken from the PATH or from $AICHAT. Prints what it does on standard error and the table on standard output.

Each part puts both servers on new data folders on the same disk and loads them in turns, over loopback alone, in rounds of
bounded time; what it starts it ends by its process id. Ratios are of medians. A goal that is not reached is marked: nothing
is left out and nothing fails.
"""
import argparse
import contextlib
import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROUNDS, SECONDS, CONNECTIONS = 3, 3, 64
STARTS = 30
PART_SECONDS_MAX = 1500


def say(text):
    print(text, file=sys.stderr, flush=True)


def machine():
    with open("/proc/cpuinfo") as cpus:
        model = next((line.split(":", 1)[1].strip() for line in cpus if line.startswith("model name")), "unknown")
    with open("/proc/meminfo") as memory:
        gib = int(memory.readline().split()[1]) / 2**20
    load = os.getloadavg()[0]
    return f"{os.cpu_count()} CPUs ({model}), {gib:.0f} GiB, Linux {os.uname().release}, load average before the run {load:.1f}"


class Table:
    """Rows of `what | Fireside | the peer | ratio | goal`."""

    def __init__(self, peer):
        self.rows = [f"| | Fireside | {peer} | ratio | goal |", "|---|--:|--:|--:|--:|"]

    def more(self, what, ours, theirs, goal=None, unit="{:.0f}"):
        """A figure of which more is better."""
        self.row(what, ours, theirs, ours / theirs, f"≥ {goal:g}" if goal else "", not goal or ours / theirs >= goal, unit)

    def less(self, what, ours, theirs, goal=None, unit="{:.1f}"):
        """A figure of which less is better; `goal` is how many times less."""
        self.row(what, ours, theirs, theirs / ours, f"≥ {goal:g}" if goal else "", not goal or theirs / ours >= goal, unit)

    def row(self, what, ours, theirs, ratio, goal, is_reached, unit):
        shown = f"{ratio:.2f}" if ratio < 3 else f"{ratio:.1f}"
        missed = "" if is_reached else " (missed)"
        self.rows.append(f"| {what} | {unit.format(ours)} | {unit.format(theirs)} | {shown}{missed} | {goal} |")

    def text(self):
        return "\n".join(self.rows) + "\n"


def adapter(folder, binary):
    """How the load driver starts and asks this server. Its loads send to a conversation that may be busy: those wait."""
    path = os.path.join(folder, "fireside.json")
    relay = {"chat_id": "@ID@", "message": "what would you do with these three options?", "model": "fake", "queue": True}
    with open(path, "w") as file:
        json.dump(
            {
                "name": "fireside",
                "cmd": f"{binary} serve --port {{port}} --data {{data_dir}}",
                "env": {
                    "OPENAI_BASE_URL": "{fake_llm}",
                    "FIRESIDE_DEFAULT_MODEL": "echo",
                    "FIRESIDE_CONTEXT_MESSAGES": "20",
                },
                "relay_body": relay,
            },
            file,
        )
    return path


def fastapi(peers, ours, folder):
    """The peer that answers the same routes: two workers, its access log as it comes."""
    out = os.path.join(folder, "fastapi.json")
    env = {
        **os.environ,
        "ROUNDS": str(ROUNDS),
        "SECONDS_PER_ROUND": str(SECONDS),
        "CONNS": str(CONNECTIONS),
        "WORKLOADS": "health chats messages send relay",
        "BENCH_OUT": out,
        "BENCH_TMP": folder,
        "MAX_SECONDS": str(PART_SECONDS_MAX),
    }
    subprocess.run(["bash", f"{peers}/load/compare.sh", ours, "fastapi-2workers"], env=env, check=True, stdout=sys.stderr)
    with open(out) as file:
        got = json.load(file)
    runs = {}
    for entry in got["rounds"]:
        runs.setdefault((entry["load"], entry["server"]), []).extend(entry["runs"])

    def median(load, server, key):
        return statistics.median(run[key] for run in runs[load, server])

    table = Table("FastAPI, 2 workers")
    goals = {"health": (10, 12), "chats": (12, 15), "messages": (15, 15), "send": (15, 15), "relay": (6, 15)}
    names = {
        "health": "`GET /health`",
        "chats": "`GET /chats` (50)",
        "messages": "`GET /chats/{id}/messages` (20)",
        "send": "send, durably",
        "relay": "send through to a model's server",
    }
    for load, (rate, cpu) in goals.items():
        name = names[load]
        table.more(f"{name}, requests/s", median(load, "A", "rps"), median(load, "B", "rps"), rate)
        table.less(f"{name}, p99 ms", median(load, "A", "p99"), median(load, "B", "p99"), 5, "{:.1f}")
        table.less(f"{name}, CPU µs per request", median(load, "A", "cpu_us"), median(load, "B", "cpu_us"), cpu, "{:.0f}")
    table.less("memory at rest, MiB", *got["idle"], 12)
    table.less("memory at its peak, MiB", *got["peak"], 6)
    table.less("start to first answer, ms", *(statistics.median(starts) * 1000 for starts in got["starts"]), 30)
    errors = [sum(run["errors"] for key, list_ in runs.items() if key[1] == server for run in list_) for server in "AB"]
    return table.text() + f"\nErrors: Fireside {errors[0]}, the peer {errors[1]}.\n"


def openwebui(peers, ours, folder):
    """Open WebUI in its leanest set-up. It answers other routes, so each is asked for what its own page asks for."""
    env = {**os.environ, "ROUNDS": "1", "SECONDS_PER_ROUND": "3", "CONNS": "1 64", "CHATS": "200", "BENCH_TMP": folder, "STARTS": "3"}
    command = ["timeout", str(PART_SECONDS_MAX), sys.executable, f"{peers}/load/openwebui.py"]
    said = subprocess.run(command, env=env, check=True, stdout=subprocess.PIPE, text=True).stdout
    say(said)

    def figure(pattern):
        found = re.search(pattern, said)
        if not found:
            raise SystemExit(f"the peer's report has no {pattern!r}")
        return float(found.group(1))

    row = r"\| {} \| {} \| ([\d.]+) \|"
    table = Table("Open WebUI, slim")
    with Fireside(peers, ours, folder, chats=200) as server:
        rate = server.rate("GET", "/chats?limit=60", CONNECTIONS)
        table.less("start to first answer, ms", server.start_ms, figure(r"median ([\d.]+) ms"), 240)
        table.less("memory at rest, MiB", server.idle_mib, figure(r"RSS idle after 5 s: ([\d.]+) MiB"), 25)
        table.more("a page of 60 chats, requests/s", rate["rps"], figure(row.format(r"chats page \(60, \d+ bytes\)", CONNECTIONS)), 100)
        p50 = r"\| {} \| 1 \| [\d.]+ \| ([\d.]+) /"
        for stream in ("false", "true"):
            theirs = figure(p50.format(f"completion through open-webui, stream={stream}"))
            # The line after it is the same at the model's server itself.
            direct = float(re.search(rf"stream={stream} \| 1 \|[^\n]*\n\|[^|]*\| 1 \| [\d.]+ \| ([\d.]+) /", said).group(1))
            mine, bare = server.completion(stream)
            table.less(f"what a completion takes beyond the model's, stream={stream}, ms", mine - bare, theirs - direct, 20, "{:.2f}")
    return table.text()


def is_answered(process, port, path):
    """Waits until a server that was just started answers 200; false if it ends first, or takes longer than 20 s."""
    deadline = time.perf_counter() + 20
    while process.poll() is None and time.perf_counter() < deadline:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return True
        except OSError:
            pass
        time.sleep(0.001)
    return False


class Fireside:
    """This server under the peers' own load driver."""

    def __init__(self, peers, ours, folder, chats):
        os.environ.update(CHATS=str(chats), BENCH_TMP=folder)
        sys.path.insert(0, f"{peers}/load")
        import compare  # the driver reads the environment when it is loaded

        compare.CHATS = chats
        self.driver = compare
        compare.start_fake_llm()
        self.server = compare.Server("A", ours, folder)

    def __enter__(self):
        starts = []
        for _ in range(4):
            self.server.stop()
            starts.append(self.server.start() * 1000)
        # The first start only warms the page cache.
        self.start_ms = statistics.median(starts[1:])
        time.sleep(5)
        self.idle_mib = self.driver.rss(self.server.proc.pid)
        self.server.seed()
        return self

    def rest(self):
        """Ends the server, until it is started again."""
        self.server.proc.terminate()
        self.server.proc.wait(20)

    def again(self):
        """Milliseconds of a start on the folder that is there."""
        server = self.server
        self.rest()
        env = {name: value.replace("{fake_llm}", self.driver.FAKE["url"]) for name, value in server.a["env"].items()}
        begun = time.perf_counter()
        server.proc = subprocess.Popen(
            server.command("cmd", server.data),
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=server.log,
            stderr=server.log,
            start_new_session=True,
        )
        if not is_answered(server.proc, server.port, "/health"):
            raise SystemExit("Fireside did not start again")
        return (time.perf_counter() - begun) * 1000

    def __exit__(self, *_):
        self.server.stop()
        self.driver.FAKE["proc"].terminate()
        self.driver.FAKE["proc"].wait(10)

    def rate(self, method, path, connections, body=""):
        self.server.wrk(method, path, connections, 1, self.server.token, body)
        return self.server.wrk(method, path, connections, SECONDS, self.server.token, body)

    def completion(self, stream):
        """Median ms of a completion through this server, and at the model's server itself."""
        body = '{"model":"fake","stream":%s,"messages":[{"role":"user","content":"hi there"}]}' % stream
        through = self.rate("POST", "/v1/chat/completions", 1, body)
        direct = self.driver.wrk(f"{self.driver.FAKE['url']}/chat/completions", "POST", 1, SECONDS, "", body)
        if through["errors"] or direct["errors"]:
            raise SystemExit("completions failed")
        return through["p50"], direct["p50"]


class NotStarted(Exception):
    """A peer that ends before its first answer, or does not come to it."""


@contextlib.contextmanager
def serving(binary, config):
    """aichat's server, its port, and the milliseconds it took to its first answer."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begun = time.perf_counter()
    process = subprocess.Popen(
        [binary, "--serve", f"127.0.0.1:{port}"],
        env={**os.environ, "AICHAT_CONFIG_DIR": config},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        if not is_answered(process, port, "/v1/models"):
            raise NotStarted(f"{binary} did not start")
        yield process, port, (time.perf_counter() - begun) * 1000
    finally:
        process.terminate()
        process.wait(10)


def aichat(peers, ours, folder):
    """aichat --serve: a program that only passes requests on and keeps nothing."""
    binary = os.environ.get("AICHAT") or shutil.which("aichat")
    if not binary:
        return "aichat is not installed on this machine: not measured.\n"
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    try:
        return beside(binary, Table(version), peers, ours, folder)
    except NotStarted:
        return f"{version} did not start: not measured.\n"


def beside(binary, table, peers, ours, folder):
    """The table, filled."""
    with Fireside(peers, ours, folder, chats=1) as server:
        config = os.path.join(folder, "aichat")
        os.makedirs(config)
        with open(os.path.join(config, "config.yaml"), "w") as file:
            file.write(
                "model: box:fake\nclients:\n- type: openai-compatible\n  name: box\n"
                f"  api_base: {server.driver.FAKE['url']}\n  api_key: none\n  models:\n"
            )
            # It lists what it is told; this server, what the model's server has.
            with urllib.request.urlopen(f"{server.driver.FAKE['url']}/models", timeout=10) as models:
                file.writelines(f"  - name: {model['id']}\n" for model in json.load(models)["data"])
        starts, starts_again = [], []
        # In turns, and each alone: the machine is not the same from one second to the next.
        for _ in range(1 + STARTS):
            server.rest()
            with serving(binary, config) as (_, _, ms):
                starts.append(ms)
            starts_again.append(server.again())
        with serving(binary, config) as (process, port, _):
            time.sleep(5)
            idle = server.driver.rss(process.pid)
            url = f"http://127.0.0.1:{port}/v1/models"
            theirs = [server.driver.wrk(url, "GET", CONNECTIONS, SECONDS) for _ in range(ROUNDS)]
            mine = [server.rate("GET", "/v1/models", CONNECTIONS) for _ in range(ROUNDS)]
        # The first only warm the page cache.
        start, start_again = statistics.median(starts[1:]), statistics.median(starts_again[1:])
        table.less("first start, on an empty folder, to the first answer, ms", server.start_ms, start)
        table.less("further start to the first answer, ms", start_again, start, 1)
        table.less("memory at rest, MiB", server.idle_mib, idle, 1)
        middle = [statistics.median(run["rps"] for run in runs) for runs in (mine, theirs)]
        table.more("`GET /v1/models`, requests/s", *middle, 1)
    return table.text()


def limits(_peers, _ours, _folder):
    """What the machine and the libraries allow."""
    text = ""
    for bench in ("health", "limits"):
        command = ["cargo", "bench", "--locked", "--quiet", "--bench", bench]
        text += subprocess.run(command, cwd=os.path.dirname(HERE), check=True, stdout=subprocess.PIPE, text=True).stdout + "\n"
    return text


PARTS = {
    "fastapi": ("Beside an AI chat backend as its users write it", fastapi),
    "openwebui": ("Beside Open WebUI", openwebui),
    "aichat": ("Beside aichat", aichat),
    "limits": ("Beside what the libraries and the disk allow", limits),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peers", help="the folder with the peers and the load driver")
    parser.add_argument("--binary", default=os.path.join(os.path.dirname(HERE), "target", "release", "fireside"))
    parser.add_argument("--only", default=",".join(PARTS), help="parts to run, with commas")
    parser.add_argument("--out", help="a file for the table, beside standard output")
    args = parser.parse_args()
    parts = args.only.split(",")
    unknown = [part for part in parts if part not in PARTS]
    if unknown:
        parser.error(f"there is no part {unknown[0]}; there are {', '.join(PARTS)}")
    binary = os.path.abspath(args.binary)
    if not os.access(binary, os.X_OK):
        parser.error(f"there is no {binary}: build it with cargo build --release")
    # The server takes its settings from the environment too; what is measured has its defaults.
    for name in [name for name in os.environ if name.startswith("FIRESIDE_")]:
        del os.environ[name]
    peers = os.path.abspath(args.peers)
    told = f"{time.strftime('%Y-%m-%d')}, {machine()}\n"
    for part in parts:
        title, measure = PARTS[part]
        say(f"== {title}")
        folder = tempfile.mkdtemp(prefix="fireside-peers-")
        try:
            told += f"\n### {title}\n\n{measure(peers, adapter(folder, binary), folder)}"
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(told)
    if args.out:
        with open(args.out, "w") as file:
            file.write(told)


if __name__ == "__main__":
    main()
