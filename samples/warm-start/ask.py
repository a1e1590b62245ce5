"""Asks the worker one question."""
import socket
import sys

with socket.socket(socket.AF_UNIX) as client:
    client.connect("/tmp/worker.sock")
    with client.makefile("rw") as stream:
        print(sys.argv[1], file=stream, flush=True)
        print(stream.readline().strip())
