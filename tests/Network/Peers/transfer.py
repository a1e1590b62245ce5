#!/usr/bin/python3
"""One end of a transfer in both directions at once whose every byte is checked.

usage: transfer.py listen PORT BYTES SEED [LOG]     |     transfer.py connect HOST PORT BYTES SEED [LOG]

Each end sends BYTES that follow from SEED and its role, and checks what it gets against what the other must have sent. It prints
"ok" when both are through, and says where the first wrong byte is otherwise. With LOG it writes how far it is into that file.
"""
import hashlib, select, socket, sys, time

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
        piece = self.rest[:most]
        return piece

    def take(self, count):
        self.rest, self.at = self.rest[count:], self.at + count


def run(link, total, sent, expected, log):
    out, incoming = Stream(sent, total), Stream(expected, total)
    link.setblocking(False)
    told = 0
    while out.at < total or incoming.at < total:
        readable, writable, _ = select.select([link] if incoming.at < total else [], [link] if out.at < total else [], [], 60)
        if not readable and not writable:
            raise SystemExit(f"nothing moves: sent {out.at}, received {incoming.at} of {total}")
        if writable:
            try:
                out.take(link.send(out.next(PIECE)))
            except BlockingIOError:
                pass
        if readable:
            got = link.recv(PIECE)
            if not got:
                raise SystemExit(f"the peer closed after {incoming.at} of {total} bytes")
            want = incoming.next(len(got))
            if got != want:
                wrong = next((i for i, (a, b) in enumerate(zip(got, want)) if a != b), min(len(got), len(want)))
                raise SystemExit(f"byte {incoming.at + wrong} is wrong")
            incoming.take(len(got))
        if log and time.monotonic() - told > 0.05:
            told = time.monotonic()
            with open(log, "w") as file:
                file.write(f"{out.at} {incoming.at}")
    link.setblocking(True)
    link.shutdown(socket.SHUT_WR)
    if link.recv(1):
        raise SystemExit("the peer sent more than it should")
    print("ok", flush=True)


def main():
    role, *rest = sys.argv[1:]
    if role == "listen":
        port, total, seed, *log = rest
        with socket.create_server(("", int(port))) as server:
            link, _ = server.accept()
            run(link, int(total), f"{seed}-listen", f"{seed}-connect", log[0] if log else None)
    else:
        host, port, total, seed, *log = rest
        for attempt in range(100):
            try:
                link = socket.create_connection((host, int(port)), timeout=10)
                break
            except OSError:
                if attempt == 99:
                    raise
                time.sleep(0.1)
        run(link, int(total), f"{seed}-connect", f"{seed}-listen", log[0] if log else None)


main()
