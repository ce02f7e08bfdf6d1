"""A Debian with systemd as its first process, in namespaces of its own; the network is this machine's."""

import os
import shutil
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.peers.tools import wait_until

NAME = "ichnode-test"
PACKAGES = "systemd,systemd-sysv,dbus,ca-certificates,python3,python3-venv,sudo,procps"
REBOOT = 133  # what systemd-nspawn --keep-unit ends with when the container asks for a reboot
ENVIRONMENT = ("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8")
# In a group of its own: a systemd that starts in ours would sort the processes of this machine into its slices.
IN_A_GROUP = f"""
for tree in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    [ -e "$tree/cgroup.procs" ] || continue
    mkdir -p "$tree/{NAME}" && echo $$ >"$tree/{NAME}/cgroup.procs"
done
exec "$@"
"""
LEAVE_NO_GROUP = f"find /sys/fs/cgroup -depth -type d -path '*/{NAME}*' -exec rmdir {{}} + 2>/dev/null"


def debian(folder: Path) -> Path:
    """Debian 12 as debootstrap makes it, with what docs/how-to/install.md asks for; made once."""
    made = folder / "debian"
    if not made.exists():
        new = folder / "debian.new"
        shutil.rmtree(new, ignore_errors=True)
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", str(new)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (new / "etc/hostname").write_text("node\n")
        (new / "etc/hosts").write_text("127.0.0.1 localhost node\n")
        new.rename(made)
    return made


@dataclass
class Container:
    """One machine: the files under ``root``, and what runs on them. Everything said in it goes to ``transcript``."""

    root: Path
    transcript: Path
    shared: tuple[tuple[Path, str], ...] = ()  # folders of ours, and where it sees them, read-only
    _nspawn: subprocess.Popen[bytes] | None = None

    def boot(self) -> None:
        """Starts its systemd and waits until that has started everything."""
        command = ["systemd-nspawn", "--quiet", f"--directory={self.root}", f"--machine={NAME}", "--hostname=node"]
        command += ["--boot", "--register=no", "--keep-unit", "--console=pipe", "--kill-signal=SIGRTMIN+3"]
        command += [f"--bind-ro={ours}:{theirs}" for ours, theirs in self.shared]
        with self.root.with_suffix(".console").open("ab") as console:
            self._nspawn = subprocess.Popen(
                ["sh", "-c", IN_A_GROUP, "sh", *command],
                stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True,
            )  # fmt: skip
        wait_until(self._is_up, "systemd has started everything")

    def reboot(self) -> None:
        """``systemctl reboot``: everything is stopped in order, and starts again."""
        self.sh("systemctl reboot")
        assert self._nspawn is not None
        assert self._nspawn.wait(120) == REBOOT
        self.boot()

    def crash(self) -> None:
        """Every process dies at once, without a word; then it is switched on again."""
        assert self._nspawn is not None
        os.kill(self._first(), signal.SIGKILL)
        self._nspawn.wait(60)
        self._note("(every process of the machine is killed at once; it is switched on again)")
        self.boot()

    def close(self) -> None:
        """Keeps its journal, and leaves neither processes nor groups behind."""
        if self._nspawn is None:
            return
        if self._nspawn.poll() is None:
            journal = self._enter("journalctl --no-pager -o short-iso").stdout
            self.root.with_suffix(".journal").write_text(journal)
            self._nspawn.send_signal(signal.SIGTERM)
            try:
                self._nspawn.wait(60)
            except subprocess.TimeoutExpired:
                self._nspawn.kill()
                self._nspawn.wait(30)
        subprocess.run(LEAVE_NO_GROUP, shell=True, check=False)

    def sh(self, command: str, *, check: bool = True) -> str:
        """What a command says in it, as root, on both channels; written to the transcript."""
        done = self._enter(command)
        self._note(f"# {command}\n{done.stdout}".rstrip())
        assert not check or done.returncode == 0, f"{command} ended with {done.returncode}: {done.stdout[-3000:]}"
        return done.stdout

    def look(self, command: str) -> str:
        """The same without a line in the transcript, and whatever it ends with: for waiting."""
        return self._enter(command).stdout

    def head(self, text: str) -> None:
        """A heading in the transcript."""
        with self.transcript.open("a") as file:
            file.write(f"\n## {text}\n")

    def _note(self, text: str) -> None:
        with self.transcript.open("a") as file:
            file.write(f"\n{text}\n")

    def _first(self) -> int:
        """Process id of its systemd, as seen from here; 0 while there is none."""
        assert self._nspawn is not None
        assert self._nspawn.poll() is None, self.root.with_suffix(".console").read_text()[-2000:]
        children = subprocess.run(["pgrep", "-P", str(self._nspawn.pid), "systemd"], capture_output=True, check=False)
        return int(children.stdout.split()[0]) if children.stdout else 0

    def _is_up(self) -> bool:
        return self._first() > 0 and self.look("systemctl is-system-running").strip() in {"running", "degraded"}

    def _enter(self, command: str) -> subprocess.CompletedProcess[str]:
        inside = ["env", "-i", *ENVIRONMENT, "sh", "-c", f"cd /root; {command}"]
        return subprocess.run(
            ["nsenter", f"--target={self._first()}", "--all", *inside],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", timeout=900, check=False,
        )  # fmt: skip
