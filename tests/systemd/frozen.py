"""One thread of a process stopped where it stands, the others running on: a hang, as a debugger makes it."""

import contextlib
import ctypes
import os
import pathlib

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
LIBC.ptrace.restype = ctypes.c_long
PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207
WALL = 0x40000000  # threads too, not only children


def thread_of(pid, name):
    """The id of the thread of that name."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text().strip() == name:
            return int(task.name)
    raise AssertionError(f"process {pid} has no thread {name}")


class Frozen:
    """From here on the thread stands. Ask has_ended while waiting for its process to be killed: until its end is taken
    note of by us, who hold it, the process is not gone."""

    def __init__(self, thread):
        self.thread = thread
        for request in (PTRACE_SEIZE, PTRACE_INTERRUPT):
            if LIBC.ptrace(request, thread, None, None) != 0:
                raise OSError(ctypes.get_errno(), "ptrace")
        os.waitpid(thread, WALL)

    def has_ended(self):
        with contextlib.suppress(ChildProcessError):
            ended, status = os.waitpid(self.thread, WALL | os.WNOHANG)
            return ended == self.thread and (os.WIFSIGNALED(status) or os.WIFEXITED(status))
        return True
