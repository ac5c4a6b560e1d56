# SPDX-License-Identifier: MIT
"""Slurm on this machine alone: a controller and one node, for as long as a block runs. Needs root,
Debian's slurm-wlm and munge."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from many_nodes import free_ports, wait_for

DAEMONS = ("munged", "slurmctld", "slurmd")


def is_here():
    return os.geteuid() == 0 and all(shutil.which(one) for one in (*DAEMONS, "srun", "sinfo"))


def configuration(folder, slots):
    name = socket.gethostname()
    controller, node = free_ports(2)
    return f"""ClusterName=gossamer
SlurmctldHost={name}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
MpiDefault=none
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={name} NodeAddr=127.0.0.1 CPUs={slots} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@contextlib.contextmanager
def cluster(slots):
    """Yields what its commands need in their environment. Throws RuntimeError, with what the daemons
    have said, if it does not come up."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gossamer-slurm-")))
        folder.chmod(0o755)  # munged runs as its own user
        for part in ("munge", "state", "spool"):
            (folder / part).mkdir()
        key = folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        for path in (folder / "munge", key):
            shutil.chown(path, "munge", "munge")
        (folder / "slurm.conf").write_text(configuration(folder, slots))
        variables = {"SLURM_CONF": str(folder / "slurm.conf")}

        def start(command, **how):
            log = stack.enter_context(open(folder / f"{command[0]}.log", "wb"))
            one = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT,
                                   env={**os.environ, **variables}, **how)
            stack.callback(one.wait)
            stack.callback(one.terminate)

        munge = folder / "munge"
        start(["munged", "--foreground", f"--socket={munge}/socket", f"--key-file={key}",
               f"--log-file={munge}/log", f"--pid-file={munge}/pid", f"--seed-file={munge}/seed"],
              user="munge", group="munge")
        wait_for(lambda: (munge / "socket").exists(), 20)
        start(["slurmctld", "-D"])
        start(["slurmd", "-D"])

        def is_idle():
            asked = subprocess.run(["sinfo", "--noheader", "--format=%T"], capture_output=True,
                                   text=True, env={**os.environ, **variables})
            return asked.stdout.strip() == "idle"

        wait_for(is_idle, 60)
        if not is_idle():
            said = "".join((folder / f"{one}.log").read_text(errors="replace")[-500:]
                           for one in DAEMONS)
            raise RuntimeError(f"Slurm does not come up: {said}")
        yield variables
