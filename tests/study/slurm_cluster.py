"""A real SLURM on this machine, of one node or two, for the time of some tests.

munged, slurmctld and a slurmd for each node run as root from a temporary folder, on loopback and
free ports, with a configuration of their own; a cluster that this machine may belong to is not
touched. There is no accounting unless asked for, as on many small clusters, and no cgroups, as in a
container. Jobs of the partition
``urgent`` pre-empt those of ``main``, the default. Nodes are ``atlas1``, ``atlas2``; what they do
not have of their own is the machine, its name and its network.

A watcher outlives whoever started it, even by a ``kill -9``: it then kills all that is left.
"""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ACCOUNTS_PROGRAMS = ("mariadb-install-db", "mariadbd", "slurmdbd", "sacctmgr", "sacct")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")

CONFIGURATION = """
ClusterName=atlas
SlurmctldHost={host}(127.0.0.1)
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
SlurmctldPort={ports[0]}
SrunPortRange={ports[1]}-{ports[2]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/spool-%n
StateSaveLocation={folder}/state
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0
PriorityType=priority/basic
{accounts}
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
MpiDefault=none
SwitchType=switch/none
JobRequeue=1
ReturnToService=0
KillWait=20
{nodes}
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP PriorityTier=1 GraceTime={grace}
PartitionName=urgent Nodes=ALL MaxTime=INFINITE State=UP PriorityTier=2 PreemptMode=OFF
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} State=UNKNOWN"
)
NO_ACCOUNTS = "AccountingStorageType=accounting_storage/none"
ACCOUNTS = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket
MinJobAge=2
"""
ACCOUNTANT = """
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm
"""
CPUS = 2
GRACE_SECONDS = 30
"""What a pre-empted job has for its checkpoints."""

WATCHER = """
import os, pathlib, signal, sys
sys.stdin.read()
mark = b"SLURM_CONF=" + sys.argv[1].encode()
for _ in range(3):
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "environ").read_bytes().split(b"\\0")
            if mark in words and int(process.name) != os.getpid():
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:
            pass
"""


def why_not(*, accounts: bool = False) -> str | None:
    """Why no SLURM (with ``accounts``) can be started here, None if one can."""
    path = os.environ["PATH"] + os.pathsep + "/usr/sbin"
    missing = [name for name in PROGRAMS if shutil.which(name, path=path) is None]
    if missing:
        return f"SLURM is not installed here ({', '.join(missing)}); Debian has slurm-wlm and munge"
    missing = [name for name in ACCOUNTS_PROGRAMS if shutil.which(name, path=path) is None]
    if accounts and missing:
        return (
            f"SLURM's accounts are not installed here ({', '.join(missing)}); Debian has slurmdbd "
            "and mariadb-server"
        )
    if os.getuid() != 0:
        return "a SLURM of our own is started as root only"
    return None


@contextmanager
def slurm_cluster(
    folder: Path, *, n_nodes: int = 1, accounts: bool = False
) -> Iterator[dict[str, str]]:
    """Start it; gives the environment in which its commands find it, and stops it at the end.

    The machine's two cores are dealt out to its nodes. With ``accounts`` all jobs are noted in a
    database, and squeue forgets those that have ended after some seconds.
    """
    names = [f"atlas{number + 1}" for number in range(n_nodes)]
    for name in ("state", *(f"spool-{name}" for name in names)):
        (folder / name).mkdir(parents=True)
    host = socket.gethostname().partition(".")[0]
    first, *ports = _free_ports(40)
    nodes = [
        NODE.format(name=name, host=host, port=port, cpus=CPUS // n_nodes)
        for name, port in zip(names, ports, strict=False)
    ]
    configuration = folder / "slurm.conf"
    configuration.write_text(
        CONFIGURATION.format(
            folder=folder,
            host=host,
            ports=(first, ports[n_nodes], ports[-3]),
            nodes="\n".join(nodes),
            accounts=ACCOUNTS.format(folder=folder, port=ports[-2]) if accounts else NO_ACCOUNTS,
            grace=GRACE_SECONDS,
        )
    )
    environment = {
        **os.environ,
        "PATH": os.environ["PATH"] + os.pathsep + "/usr/sbin",
        "SLURM_CONF": str(configuration),
    }
    daemons: list[subprocess.Popen] = []
    watcher = subprocess.Popen(
        [sys.executable, "-c", WATCHER, str(configuration)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _munge(folder, environment, daemons)
        if accounts:
            _keep_accounts(folder, host, ports[-2], environment, daemons)
        for command in (
            ["slurmctld", "-D", "-c"],
            *(["slurmd", "-D", "-N", name] for name in names),
        ):
            daemons.append(_start(command, folder, environment))
        idle = ["sinfo", "-h", "-N", "-p", "main", "-t", "idle", "-o", "%N"]
        _wait_until(lambda: _ask(idle, environment).split() == names, folder)
        yield environment
    finally:
        subprocess.run(
            ["scancel", "--user=root", "--signal=KILL", "--full"], env=environment, check=False
        )
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(3)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        watcher.communicate()


def _munge(folder: Path, environment: dict[str, str], daemons: list[subprocess.Popen]) -> None:
    key = folder / "munge.key"
    key.touch(mode=0o600)
    key.write_bytes(os.urandom(1024))
    names = {
        "key-file": key,
        "socket": folder / "munge.socket",
        "pid-file": folder / "munged.pid",
        "log-file": folder / "munged.log",
        "seed-file": folder / "munged.seed",
    }
    arguments = [f"--{name}={path}" for name, path in names.items()]
    daemons.append(_start(["munged", "--foreground", "--force", *arguments], folder, environment))
    _wait_until(names["socket"].exists, folder)


def _keep_accounts(
    folder: Path,
    host: str,
    port: int,
    environment: dict[str, str],
    daemons: list[subprocess.Popen],
) -> None:
    data, name = folder / "database", folder / "database.socket"
    make = ["--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(
        ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--user=root", *make],
        check=True,
        capture_output=True,
    )
    words = [f"--datadir={data}", f"--socket={name}", "--skip-networking", "--user=root"]
    daemons.append(_start(["mariadbd", "--no-defaults", *words], folder, environment))
    _wait_until(name.exists, folder)
    configuration = folder / "slurmdbd.conf"
    configuration.write_text(ACCOUNTANT.format(folder=folder, host=host, port=port))
    configuration.chmod(0o600)
    daemons.append(
        _start(["slurmdbd", "-D"], folder, {**environment, "MYSQL_UNIX_PORT": str(name)})
    )
    add = ["sacctmgr", "--immediate", "add", "cluster", "atlas"]
    _wait_until(lambda: "Adding Cluster" in _ask(add, environment), folder)


def _start(command: list[str], folder: Path, environment: dict[str, str]) -> subprocess.Popen:
    with (folder / f"{command[0]}.out").open("a") as out:
        return subprocess.Popen(
            command, env=environment, stdout=out, stderr=out, start_new_session=True
        )


def _ask(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return done.stdout


def _wait_until(condition, folder: Path, *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            logs = "\n".join(
                f"{path.name}:\n{path.read_text()[-2000:]}"
                for path in sorted(folder.glob("*.[lo]*"))
            )
            raise TimeoutError(f"SLURM did not start:\n{logs}")
        time.sleep(0.1)


def _free_ports(n: int) -> list[int]:
    """``n`` ports in a row that are free now."""
    for first in range(21_000, 60_000, n):
        if all(_is_free(port) for port in range(first, first + n)):
            return list(range(first, first + n))
    raise OSError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            one.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
