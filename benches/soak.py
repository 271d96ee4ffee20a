#!/usr/bin/env python3
"""A household's eight hours in half an hour: does memory grow, do descriptors or threads leak, does the log of writes end?

    cargo build --release && python3 benches/soak.py [--minutes 30] [--binary target/release/fireside] [--out soak.csv]

Starts one server on a new data folder and eight clients on loopback that do what people do, sixteen times as often: read
lists and conversations, send, stream, leave in the middle of a stream, search, send files and fetch them, sign in and out,
delete. Looks at the server every five seconds and prints what it saw: the slope of its memory after the first sixth of the
time, and the least and most of the rest. Asserts nothing but that every request was answered as it should be.

The standard library only. Everything is bounded by --minutes, and what was started is ended by its process id.
"""
import argparse
import collections
import http.client
import json
import os
import random
import shutil
import socket
import subprocess
import tempfile
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS, PAUSE_S, SAMPLE_S = 8, 0.05, 5
TEXT = "what would you do with these three options, and which of them would you leave for another day? "


class Client(threading.Thread):
    """One person, in a loop."""

    def __init__(self, port, number, over):
        super().__init__(name=f"client-{number}")
        self.port, self.number, self.over = port, number, over
        self.random = random.Random(number)
        self.done, self.failed = collections.Counter(), []
        self.chats = []
        self.connection = None

    def call(self, method, path, body=None, headers=None, expect=(200, 201, 204)):
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.token}", **(headers or {})} if self.token else dict(headers or {})
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        self.connection.request(method, path, body, headers)
        reply = self.connection.getresponse()
        raw = reply.read()
        if reply.status not in expect:
            raise RuntimeError(f"{method} {path} answered {reply.status}: {raw[:200]!r}")
        return json.loads(raw) if "json" in (reply.getheader("Content-Type") or "") else raw

    def run(self):
        self.token = None
        try:
            name = f"soak{self.number}"
            me = {"username": name, "email": f"{name}@example.com", "password": "correct-horse-9"}
            self.me = me
            self.token = self.call("POST", "/auth/register", me)["access_token"]
            self.user = self.call("GET", "/users/me")["id"]
            for _ in range(5):
                self.send()
        except Exception as error:
            self.failed.append(repr(error))
            return
        weighted = [
            (self.list, 30), (self.open, 25), (self.send, 15), (self.stream, 6), (self.leave, 4), (self.search, 5),
            (self.page, 5), (self.file, 3), (self.sign_in, 0.5), (self.delete, 2), (self.refused, 3),
        ]
        actions, weights = zip(*weighted)
        while not self.over.is_set():
            action = self.random.choices(actions, weights)[0]
            try:
                action()
                self.done[action.__name__] += 1
            except Exception as error:
                self.failed.append(f"{action.__name__}: {error!r}")
                self.connection = None
                if len(self.failed) > 100:
                    return
            self.over.wait(self.random.uniform(0, 2 * PAUSE_S))

    def list(self):
        self.call("GET", "/chats")

    def open(self):
        self.call("GET", f"/chats/{self.random.choice(self.chats)}/messages")

    def send(self):
        body = {"message": TEXT * self.random.randint(1, 5)}
        if len(self.chats) >= 20 or (self.chats and self.random.random() < 0.9):
            body["conversation_id"] = self.random.choice(self.chats)
        chat = self.call("POST", f"/api/{self.user}/chat", body)["conversation_id"]
        if chat not in self.chats:
            self.chats.append(chat)

    def streaming(self):
        """A reply that comes event by event, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        body = json.dumps({"message": TEXT * 40, "conversation_id": self.random.choice(self.chats), "queue": True})
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", "Accept": "text/event-stream"}
        connection.request("POST", f"/api/{self.user}/chat", body, headers)
        reply = connection.getresponse()
        if reply.status != 200:
            raise RuntimeError(f"a stream answered {reply.status}: {reply.read()[:200]!r}")
        return connection, reply

    def stream(self):
        connection, reply = self.streaming()
        raw = reply.read()
        connection.close()
        if b"event: done" not in raw:
            raise RuntimeError(f"a stream ended with {raw[-200:]!r}")

    def leave(self):
        connection, reply = self.streaming()
        reply.read(200)
        connection.close()

    def search(self):
        self.call("GET", f"/search?q={self.random.choice(['options', 'another+day', 'thr', 'nothing'])}")

    def page(self):
        self.call("GET", "/ui/")

    def file(self):
        content = os.urandom(self.random.randint(1_000, 200_000))
        edge = "soak-edge"
        form = (
            f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="photo.bin"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode() + content + f"\r\n--{edge}--\r\n".encode()
        url = self.call("POST", "/upload/", form, {"Content-Type": f"multipart/form-data; boundary={edge}"})["url"]
        if self.call("GET", url) != content:
            raise RuntimeError("a file came back as another")
        self.call("DELETE", f"/attachments/{url.rsplit('/', 1)[1].split('.')[0]}")

    def sign_in(self):
        before, self.token = self.token, None
        try:
            token = self.call("POST", "/auth/login", {"email": self.me["email"], "password": self.me["password"]})["access_token"]
        finally:
            self.token = before
        self.call("POST", "/auth/logout", {})
        self.token = token

    def delete(self):
        if len(self.chats) > 10:
            chat = self.chats.pop(self.random.randrange(len(self.chats)))
            self.call("DELETE", f"/chats/{chat}")

    def refused(self):
        self.call("GET", "/chats/999999999/messages", expect=(404,))
        self.call("POST", f"/api/{self.user}/chat", {"message": 7}, expect=(422,))


def look(pid, folder, begun):
    status = dict(line.split(":", 1) for line in open(f"/proc/{pid}/status"))
    size = lambda name: os.path.getsize(path) if os.path.exists(path := os.path.join(folder, name)) else 0
    return {
        "s": time.monotonic() - begun,
        "rss_kib": int(status["VmRSS"].split()[0]),
        "anon_kib": int(status["RssAnon"].split()[0]),
        "threads": int(status["Threads"]),
        "descriptors": len(os.listdir(f"/proc/{pid}/fd")),
        "wal_bytes": size("fireside.db-wal"),
        "db_bytes": size("fireside.db"),
    }


def slope(samples, key):
    """Least squares, per hour."""
    count = len(samples)
    mean_x, mean_y = sum(s["s"] for s in samples) / count, sum(s[key] for s in samples) / count
    over = sum((s["s"] - mean_x) * (s[key] - mean_y) for s in samples)
    return 3600 * over / sum((s["s"] - mean_x) ** 2 for s in samples)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--binary", default=os.path.join(os.path.dirname(HERE), "target", "release", "fireside"))
    parser.add_argument("--out", help="a file for every sample, as CSV")
    args = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="fireside-soak-")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # A setting of whoever runs this is none of the server's.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FIRESIDE_")}
    server = subprocess.Popen(
        [os.path.abspath(args.binary), "serve", "--data", folder, "--port", str(port), "--log", "warn"],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )
    over, clients, samples = threading.Event(), [], []
    said = []
    threading.Thread(target=lambda: said.extend(server.stderr), daemon=True).start()
    try:
        for _ in range(500):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.01)
        begun = time.monotonic()
        clients = [Client(port, number, over) for number in range(CLIENTS)]
        clients[0].start()
        time.sleep(1)
        [client.start() for client in clients[1:]]
        while time.monotonic() - begun < args.minutes * 60 and server.poll() is None and any(c.is_alive() for c in clients):
            time.sleep(SAMPLE_S)
            samples.append(look(server.pid, folder, begun))
    finally:
        over.set()
        [client.join(60) for client in clients if client.ident]
        time.sleep(2)
        if server.poll() is None:
            samples.append(look(server.pid, folder, begun))
        server.terminate()
        code = server.wait(15)
        shutil.rmtree(folder, ignore_errors=True)
    if args.out:
        with open(args.out, "w") as file:
            file.write(",".join(samples[0]) + "\n")
            file.writelines(",".join(f"{value:.0f}" for value in sample.values()) + "\n" for sample in samples)
    done = sum((client.done for client in clients), collections.Counter())
    failed = [line for client in clients for line in client.failed]
    print(f"{samples[-1]['s'] / 60:.1f} minutes, {sum(done.values())} acts: " + ", ".join(f"{k} {v}" for k, v in done.most_common()))
    print(f"failed: {len(failed)}", *failed[:10], sep="\n  ")
    print(f"the server ended with {code}; lines in its log: {len(said)}", *(line.decode().rstrip() for line in said[:10]), sep="\n  ")
    settled = [sample for sample in samples[:-1] if sample["s"] > args.minutes * 60 / 6]
    print("\n| | least | most | at the end | slope per hour |\n|---|--:|--:|--:|--:|")
    for key in list(samples[0])[1:]:
        values = [sample[key] for sample in settled]
        print(f"| {key} | {min(values)} | {max(values)} | {samples[-1][key]} | {slope(settled, key):+.0f} |")


if __name__ == "__main__":
    main()
