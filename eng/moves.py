"""What bench-move and soak-transfer share: namespaces that stand for a client and two hosts, and an agent of their own."""
import os, pathlib, shutil, signal, subprocess, sys, tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
RPC = ROOT / "artifacts/bin/snapshot-rpc"
SERVER, CLIENT = "10.66.0.10", "10.66.0.1"
HOSTS = [f"mv{os.getpid()}a", f"mv{os.getpid()}b"]
PEER = f"mv{os.getpid()}c"


class Failed(SystemExit):
    """Ends the program with a line that says why."""


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, capture_output=True, text=True, **options)
    if done.returncode:
        raise Failed(f"{' '.join(map(str, command))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout.strip()


class Lab:
    """A bridge in the client's namespace and one in each host's, for the sandbox's device there, joined by veth pairs; gone at the end."""

    def __enter__(self):
        signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended from outside"))  # by way of __exit__
        self.folder = tempfile.mkdtemp(prefix="moves-", dir="/var/tmp")
        os.environ |= {"SNAPSHOT_RUNTIME_DIR": f"{self.folder}/run", "SNAPSHOT_STATE_DIR": f"{self.folder}/state"}
        try:
            self.lay_cables()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        subprocess.run([RPC, "agent", "stop"], capture_output=True)
        for name in (PEER, *HOSTS):
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def lay_cables():
        for name in (PEER, *HOSTS):
            run("ip", "netns", "add", name)
            run("ip", "-n", name, "link", "add", "br0", "type", "bridge", "forward_delay", "0")
            run("ip", "-n", name, "link", "set", "br0", "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
        run("ip", "-n", PEER, "address", "add", f"{CLIENT}/24", "dev", "br0")
        for number, host in enumerate(HOSTS):
            run("ip", "-n", PEER, "link", "add", f"to{number}", "type", "veth", "peer", "name", "up0", "netns", host)
            for name, device in (PEER, f"to{number}"), (host, "up0"):
                run("ip", "-n", name, "link", "set", device, "master", "br0")
                run("ip", "-n", name, "link", "set", device, "up")


def counters(name):
    """The TCP counters of a namespace, as /proc/net/snmp has them."""
    lines = [line.split() for line in run("ip", "netns", "exec", name, "cat", "/proc/net/snmp").splitlines() if line.startswith("Tcp:")]
    return dict(zip(lines[0][1:], map(int, lines[1][1:])))
