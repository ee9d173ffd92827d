"""Kernel limits that several nodes on one host run into."""

import os
from pathlib import Path

from localk8s.console import say

# Every node runs systemd, containerd and kubelet as the same user of the host; the usual 128 instances last for two
# nodes, and the kubelet of the third ends with "inotify_init: too many open files" (kind's list of known issues).
INOTIFY = {"max_user_instances": 1024, "max_user_watches": 524_288}


def raise_inotify(folder: Path = Path("/proc/sys/fs/inotify")) -> None:
    """Raise the limits of inotify where they are lower and this process may; they hold until the host restarts."""
    for name, wanted in INOTIFY.items():
        file = folder / name
        have = int(file.read_text())
        if have >= wanted:
            continue
        if os.access(file, os.W_OK):
            say(f"    raising fs.inotify.{name} from {have} to {wanted}: each node needs some")
            file.write_text(str(wanted))
        else:
            say(f"    fs.inotify.{name} is {have}: with several nodes, `sudo sysctl fs.inotify.{name}={wanted}`")
