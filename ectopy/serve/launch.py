"""What a child process does first: tie its life to its parent's, stop being root, be the program.

Run as a script by `processes.start`, with the standard library alone:
`python -I -S launch.py PARENT_PID DEATH_SIGNAL root-is-fine|not-root PROGRAM ARGUMENT...`
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys

PR_SET_PDEATHSIG = 1
CLONE_NEWUSER = 0x10000000
ROOT_IS_FINE = "root-is-fine"
NOT_ROOT = "not-root"
EXIT_CANNOT_LAUNCH = 126


def main(arguments: list[str]) -> None:
    parent_pid, death_signal, user, *command = arguments
    try:
        if user == NOT_ROOT and not has_ordinary_user():
            become_ordinary_user()
        die_with_parent(int(parent_pid), int(death_signal))
        os.execv(command[0], command)  # noqa: S606 - the command is the supervisor's own list
    except OSError as error:
        print(f"cannot start {command[0]}: {error}", file=sys.stderr)
        os._exit(EXIT_CANNOT_LAUNCH)


def has_ordinary_user() -> bool:
    """Postgres refuses root, and a user whom the password database does not know."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_uid != 0
    except KeyError:
        return False


def become_ordinary_user() -> None:
    """Appear as `nobody` in a user namespace of our own; to the files outside we are who we were.

    No user is made and no folder changes hands: files are still checked against the real user.
    """
    user_id, group_id = os.geteuid(), os.getegid()
    somebody = ordinary_entry()
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform != "linux" or libc.unshare(CLONE_NEWUSER) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise OSError(
            "Postgres runs neither as root nor as a user without a name, and no user namespace is "
            f"to be had here ({reason}). Start Ectopy as an ordinary user, or with Docker."
        )
    _write("/proc/self/setgroups", "deny")  # else an unprivileged process may not map its group
    _write("/proc/self/gid_map", f"{somebody.pw_gid} {group_id} 1")
    _write("/proc/self/uid_map", f"{somebody.pw_uid} {user_id} 1")


def ordinary_entry() -> pwd.struct_passwd:
    """`nobody`, or whoever in the password database is not root."""
    entries = [entry for entry in pwd.getpwall() if entry.pw_uid != 0 and entry.pw_gid != 0]
    if not entries:
        raise OSError("the password database (/etc/passwd) names nobody but root")
    return next((entry for entry in entries if entry.pw_name == "nobody"), entries[0])


def die_with_parent(parent_pid: int, death_signal: int) -> None:
    """Have the kernel signal us when the parent is gone, a `kill -9` included (Linux only).

    After the change of user, because that clears the wish.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal)
    if os.getppid() != parent_pid:  # it died before the kernel knew of our wish
        os._exit(EXIT_CANNOT_LAUNCH)


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:  # noqa: PTH123 - pathlib costs this script's start 10 ms
        file.write(text)


if __name__ == "__main__":
    main(sys.argv[1:])
