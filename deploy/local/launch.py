"""Starts a command that cannot outlive its parent: sets the death signal, drops root if asked, then execs.

Runs as a plain script by `python -I -S` and imports nothing of the project. It replaces `preexec_fn`, because code
between fork and exec of a threaded parent can deadlock.

    launch.py PARENT_PID DEATH_SIGNAL IDENTITY -- COMMAND...

IDENTITY is `-` (unchanged), `namespace:UID` (for root: a user namespace in which the process has UID; files stay
root's) or `user:UID:GID` (for root: become that user).
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000


def enter_namespace(libc: ctypes.CDLL, uid: int) -> None:
    """Run as `uid` without capabilities after the exec: PostgreSQL refuses to run as uid 0."""
    real_uid, real_gid = os.getuid(), os.getgid()
    if libc.unshare(CLONE_NEWUSER) != 0:
        raise OSError(ctypes.get_errno(), "unshare(CLONE_NEWUSER)")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {real_uid} 1"), ("gid_map", f"{uid} {real_gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def main(arguments: list[str]) -> int:
    """Exec the command; returns an exit code only on failure."""
    parent_pid, death_signal, identity, separator, *command = arguments
    if separator != "--" or not command:
        sys.stderr.write("launch: nothing to run\n")
        return 2
    os.umask(0o077)  # only the owner may read a stack's data, logs and mails
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        match identity.split(":"):
            case ["-"]:
                pass
            case ["namespace", uid]:
                enter_namespace(libc, int(uid))
            case ["user", uid, gid]:
                os.setgroups([])
                os.setresgid(int(gid), int(gid), int(gid))
                os.setresuid(int(uid), int(uid), int(uid))
            case _:
                sys.stderr.write(f"launch: unknown identity {identity}\n")
                return 2
    except OSError as error:
        sys.stderr.write(f"launch: cannot take identity {identity}: {error}\n")
        return 126
    # after the change of identity, which clears the death signal
    libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
    if os.getppid() != int(parent_pid):
        return 125  # the parent died before the signal was set
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.stderr.write(f"launch: cannot run {command[0]}: {error}\n")
        return 127


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
