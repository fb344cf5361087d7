"""What a child process does first: tie its life to its parent's, stop being root, be the program.

Run as a script by `processes.start`, with the standard library alone:
`python -I -S launch.py PARENT_PID DEATH_SIGNAL NICENESS OWN_FOLDER PROGRAM ARGUMENT...`. OWN_FOLDER
is empty for a program that anybody may run, else it is what a program that refuses root keeps its
files in.
"""

from __future__ import annotations

import ctypes
import os
import pwd
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_SET_SECUREBITS = 28
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
SECBIT_NO_SETUID_FIXUP = 1 << 2
CLONE_NEWUSER = 0x10000000
CAPABILITY_VERSION = 0x20080522
CAP_DAC_OVERRIDE = 1
EXIT_CANNOT_LAUNCH = 126
AUTOGROUP = Path("/proc/self/autogroup")


def main(arguments: list[str]) -> None:
    parent_pid, death_signal, niceness, own_folder, *command = arguments
    try:
        stand_back(int(niceness))
        if own_folder and not has_ordinary_user():
            become_ordinary(Path(own_folder), program=command[0])
        die_with_parent(int(parent_pid), int(death_signal))
        os.execv(command[0], command)  # noqa: S606 - the command is the supervisor's own list
    except OSError as error:
        print(f"cannot start {command[0]}: {error}", file=sys.stderr)
        os._exit(EXIT_CANNOT_LAUNCH)


def stand_back(niceness: int) -> None:
    """Wants the processors less than others do.

    Linux may divide them by sessions first, and each program here has a session of its own: then
    what counts between programs is the niceness of the session.
    """
    total = os.nice(niceness)
    try:
        AUTOGROUP.write_text(str(total))
    except OSError:  # a kernel without it, or one that allows it only now and then
        return


def has_ordinary_user() -> bool:
    """Postgres refuses root, and a user whom the password database does not know."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_uid != 0
    except KeyError:
        return False


def become_ordinary(own_folder: Path, *, program: str) -> None:
    """By a user namespace where that will do, for no file changes hands then; else as `nobody`."""
    owner = own_folder.stat().st_uid if own_folder.exists() else os.geteuid()
    if owner == os.geteuid() and namespace_serves(own_folder, program):
        enter_user_namespace()
    elif os.geteuid() == 0 and sys.platform == "linux":
        become_user(owner or ordinary_entry().pw_uid, own_folder)
    else:
        raise OSError(
            "Postgres runs neither as root nor as a user without a name, and the system allows no "
            "user namespace here. Start Ectopy as an ordinary user, or with Docker."
        )


def namespace_serves(own_folder: Path, program: str) -> bool:
    """Try it in a fork: containers often forbid it, and in it root cannot enter others' folders."""
    pid = os.fork()
    if pid == 0:
        try:
            enter_user_namespace()
            usable = os.access(own_folder.parent, os.W_OK | os.X_OK) and os.access(program, os.X_OK)
            os._exit(0 if usable else 1)
        except OSError:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    return status == 0


def enter_user_namespace() -> None:
    """Appear as `nobody` in here; files are still checked against the user that we really are."""
    user_id, group_id = os.geteuid(), os.getegid()
    somebody = ordinary_entry()
    if sys.platform != "linux":
        raise OSError("only Linux has user namespaces")
    _check(_libc().unshare(CLONE_NEWUSER))
    Path("/proc/self/setgroups").write_text("deny")  # else we may not map our group without rights
    Path("/proc/self/gid_map").write_text(f"{somebody.pw_gid} {group_id} 1")
    Path("/proc/self/uid_map").write_text(f"{somebody.pw_uid} {user_id} 1")


def become_user(user_id: int, own_folder: Path) -> None:
    """Be that user, who gets the folder, but go on opening what root may open; no other right."""
    for path in [own_folder, *own_folder.rglob("*")] if own_folder.exists() else []:
        os.chown(path, user_id, user_id, follow_symlinks=False)
    _check(_libc().prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0))
    # access(2), by which initdb looks for its programs, else answers as if the right were not
    # there: it would find none under a closed folder, as /root is. Nothing is lost elsewhere where
    # this is refused, so the answer is not looked at
    _libc().prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user_id, user_id, user_id)
    os.setresuid(user_id, user_id, user_id)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    rights = 1 << CAP_DAC_OVERRIDE
    sets = (ctypes.c_uint32 * 6)(rights, rights, rights)  # effective, permitted, inheritable
    _check(_libc().capset(ctypes.byref(header), ctypes.byref(sets)))
    # "ambient" is what an ordinary program keeps when it starts
    _check(_libc().prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_OVERRIDE, 0, 0))


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
        _check(_libc().prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0))
    if os.getppid() != parent_pid:  # it died before the kernel knew of our wish
        os._exit(EXIT_CANNOT_LAUNCH)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


if __name__ == "__main__":
    main(sys.argv[1:])
