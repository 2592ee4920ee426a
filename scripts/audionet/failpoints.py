"""Failpoints: where a test may end the process, or fill its disk, at a write of its choice."""

import errno
import os
import signal

VARIABLE = "AUDIONET_FAILPOINT"
RECORD_BYTES = 64


def failpoint(name: str) -> None:
    """Count a write that is about to be made, and fail there if the environment asks for it; else do nothing.

    It stands before each rename, each write of a whole file and each commit of a database; the name says which.
    AUDIONET_FAILPOINT is `COUNTER_FILE:N:FAULT`. The file gets a line of 64 bytes, name and process id, for each write
    of any process that has the variable, so that they are numbered together, from 1. The fault is

        a signal, such as SIGKILL, SIGTERM or SIGSTOP, which the process sends itself at the N-th write, or
        an error, such as ENOSPC, which is raised as OSError at the N-th write and at each one after it.

    With an N of 0, writes are counted and nothing fails.
    """
    setting = os.environ.get(VARIABLE)
    if not setting:
        return
    counter_file, number, fault = setting.rsplit(":", 2)
    passed, chosen = _count(counter_file, name), int(number)
    if passed == chosen and hasattr(signal, fault):
        os.kill(os.getpid(), getattr(signal, fault))
    if 0 < chosen <= passed and hasattr(errno, fault):
        code = getattr(errno, fault)
        raise OSError(code, os.strerror(code), name)


def _count(counter_file: str, name: str) -> int:
    record = f"{name[:50]} {os.getpid()}".ljust(RECORD_BYTES - 1) + "\n"
    descriptor = os.open(counter_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(descriptor, record.encode("ascii", "replace"))
        # Behind what was appended just now, whatever others have appended since.
        return os.lseek(descriptor, 0, os.SEEK_CUR) // RECORD_BYTES
    finally:
        os.close(descriptor)
