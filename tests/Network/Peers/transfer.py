#!/usr/bin/python3
"""One end of a transfer in both directions at once whose every byte is checked.

usage: transfer.py listen PORT BYTES SEED     |     transfer.py connect HOST PORT BYTES SEED

Each end sends BYTES that follow from SEED and its role, and checks what it gets against what the other must have sent. It prints
"ok" when both are through, and says where the first wrong byte is otherwise. At random it pauses, so that buffers fill and windows close.
"""
import hashlib, random, select, socket, sys, time

PIECE = 65536


class Stream:
    """Bytes that follow from a name, piece by piece."""

    def __init__(self, name, total):
        self.name, self.total, self.at, self.rest = name, total, 0, b""

    def next(self, most):
        while len(self.rest) < most and self.at + len(self.rest) < self.total:
            number = (self.at + len(self.rest)) // PIECE
            block = hashlib.sha256(f"{self.name}/{number}".encode()).digest() * (PIECE // 32)
            self.rest += block[: min(PIECE, self.total - self.at - len(self.rest))]
        return self.rest[:most]

    def take(self, count):
        self.rest, self.at = self.rest[count:], self.at + count


def run(link, total, sent, expected):
    out, incoming, chance = Stream(sent, total), Stream(expected, total), random.Random(sent)
    link.setblocking(False)
    while out.at < total or incoming.at < total:
        readable, writable, _ = select.select([link] if incoming.at < total else [], [link] if out.at < total else [], [], 120)
        if not readable and not writable:
            raise SystemExit(f"nothing moves: sent {out.at}, received {incoming.at} of {total}")
        if writable:
            try:
                out.take(link.send(out.next(chance.randint(1, PIECE))))
            except BlockingIOError:
                pass
        if readable:
            got = link.recv(chance.randint(1, PIECE))
            if not got:
                raise SystemExit(f"the peer closed after {incoming.at} of {total} bytes")
            want = incoming.next(len(got))
            if got != want:
                wrong = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
                raise SystemExit(f"byte {incoming.at + wrong} is wrong")
            incoming.take(len(got))
        if chance.random() < 0.01:
            time.sleep(chance.choice((0.001, 0.01, 0.1)))
    link.setblocking(True)
    link.shutdown(socket.SHUT_WR)
    if link.recv(1):
        raise SystemExit("the peer sent more than it should")
    print("ok", flush=True)


def main():
    role, *rest = sys.argv[1:]
    if role == "listen":
        port, total, seed = rest
        with socket.create_server(("", int(port))) as server:
            link, _ = server.accept()
            run(link, int(total), f"{seed}-listen", f"{seed}-connect")
    else:
        host, port, total, seed = rest
        for attempt in range(600):
            try:
                link = socket.create_connection((host, int(port)), timeout=10)
                break
            except OSError:
                if attempt == 599:
                    raise
                time.sleep(0.1)
        run(link, int(total), f"{seed}-connect", f"{seed}-listen")


main()
