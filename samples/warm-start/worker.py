"""A worker that is slow to start (it imports numpy and builds a table) and quick to answer: one request a line on a Unix socket."""
import os
import socket

import numpy

table = numpy.cumsum(numpy.arange(2_000_000, dtype=numpy.int64))
listener = socket.socket(socket.AF_UNIX)
listener.bind("/tmp/worker.sock")
listener.listen()
print("warm", flush=True)
while True:
    connection, _ = listener.accept()
    with connection, connection.makefile("rw") as stream:
        for line in stream:
            print(f"sum to {int(line)} is {table[int(line)]} (process {os.getpid()})", file=stream, flush=True)
