"""A job of the workflow: `python -m amun_steps.store.job steps.tune ...` is `python -m amun_steps.steps.tune ...`.

To import torch takes longer than many a step. So a workflow on one machine starts one process that imports it once and
makes a copy of itself, by fork, for each job. Without that process, as on a cluster or in a shell, the job's own
imports what it needs. The numbers are the same.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

PRELOADED = "AMUN_PRELOADED"
"""The environment variable that says where the process listens that has imported everything."""

MODULES = ("amun_steps.training.fit", "amun_steps.judging.judge", "amun_steps.store.step", "pandas")
"""What it imports before it takes jobs: what most steps do."""

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""What Snakemake tells the jobs of rules without `threads`. Libraries look at it when they are imported, and a process
that has threads is not to be copied."""

SIZE = 8  # bytes of a number between a job and that process


def preload(more: Sequence[str] = ()) -> None:
    """Start the process that jobs of this one are copied from, until this one ends; where a system cannot do that, do
    nothing. more: modules that it imports as well, when it has nothing else to do."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):  # no Linux, or one before 5.3
        return
    folder = tempfile.mkdtemp(prefix="amun-")  # only its owner may enter
    where = os.path.join(folder, "jobs")
    reading, writing = os.pipe()  # closed when this process ends, however it does
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(where)
        except OSError:  # a path of more than 107 characters
            return shutil.rmtree(folder)
        listener.listen(128)
        numbers = [str(listener.fileno()), str(reading)]
        command = [sys.executable, "-m", __name__, "--preload", *numbers, *more]
        code = [str(Path(__file__).parents[2]), *filter(None, [os.environ.get("PYTHONPATH")])]  # not an installed one
        environ = os.environ | THREADS | {"PYTHONPATH": os.pathsep.join(code)}
        open_in_both = [listener.fileno(), reading]
        process = subprocess.Popen(command, pass_fds=open_in_both, stdout=subprocess.DEVNULL, env=environ)
    os.close(reading)
    os.environ[PRELOADED] = where

    @atexit.register
    def end() -> None:
        os.close(writing)
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _handed_over(module: str, arguments: Sequence[str]) -> int | None:
    """The wait status of a job that was run by a copy of the process that has imported everything; None where there is
    none, or it does not take the job."""
    where = os.environ.get(PRELOADED)
    if where is None or any(os.environ.get(name) != value for name, value in THREADS.items()):
        return None
    ignored = signal.signal(signal.SIGINT, signal.SIG_IGN) == signal.SIG_IGN  # the copy gets Ctrl-C, too
    said = {"argv": [module, *arguments], "cwd": os.getcwd(), "environ": dict(os.environ), "ignored": ignored}
    text = json.dumps(said).encode()
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(where)
            socket.send_fds(connection, [len(text).to_bytes(SIZE)], [0, 1, 2])
            connection.sendall(text)
            copy = _number(connection)
        except OSError:
            copy = None
        if copy is None:  # it ended before there was a copy
            if not ignored:
                signal.signal(signal.SIGINT, signal.default_int_handler)
            return None
        status = _number(connection)
        if status is None:  # it was killed
            os.kill(copy, signal.SIGKILL)
            return signal.SIGKILL
        return status


def _number(connection: socket.socket) -> int | None:
    """The next number that comes; None where the other end is gone."""
    received = connection.recv(SIZE, socket.MSG_WAITALL)
    return int.from_bytes(received) if len(received) == SIZE else None


def _tell(connection: socket.socket, number: int) -> None:
    with suppress(OSError):  # the other end is gone
        connection.sendall(number.to_bytes(SIZE))


def _serve(listener: socket.socket, wanted: int, modules: list[str]) -> list[str]:
    """Make a copy of this process for each job that connects, until `wanted` is closed and all of them have ended.

    Imports `modules` while nobody waits. Returns in the copies only: the job's module and arguments. A job whose
    connection is closed has been killed, and its copy is killed, too.
    """
    running: dict[int, tuple[socket.socket, int]] = {}  # by process: its connection and what tells that it has ended
    with selectors.DefaultSelector() as selector:
        selector.register(listener, selectors.EVENT_READ)
        selector.register(wanted, selectors.EVENT_READ)
        while wanted in selector.get_map() or running:
            for key, _ in selector.select(0 if modules else None):
                if key.fd == wanted:
                    selector.unregister(wanted)
                    modules.clear()
                elif key.fd == listener.fileno():
                    connection, files, text = _asked(listener)
                    gc.freeze()  # its looking at objects would copy them all
                    copy = os.fork()
                    if copy == 0:
                        for other in (listener, connection):
                            other.close()
                        for other in running.values():
                            _close(*other)
                        return _become(json.loads(text), files)
                    for file in files:
                        os.close(file)
                    running[copy] = connection, os.pidfd_open(copy)
                    _tell(connection, copy)
                    for each in running[copy]:
                        selector.register(each, selectors.EVENT_READ, copy)
                elif key.data in running:
                    connection, ended = running.pop(key.data)
                    if key.fd != ended:
                        os.kill(key.data, signal.SIGKILL)
                    _, status = os.waitpid(key.data, 0)
                    _tell(connection, status)
                    for each in (connection, ended):
                        selector.unregister(each)
                    _close(connection, ended)
            if modules:
                importlib.import_module(modules.pop(0))
    sys.exit()


def _asked(listener: socket.socket) -> tuple[socket.socket, list[int], bytes]:
    """The next job's connection, its stdin, stdout and stderr, and what it says of itself."""
    connection, _ = listener.accept()
    size, files, _, _ = socket.recv_fds(connection, SIZE, 3)
    return connection, files, connection.recv(int.from_bytes(size), socket.MSG_WAITALL)


def _close(connection: socket.socket, ended: int) -> None:
    connection.close()
    os.close(ended)


def _become(job: dict, files: Sequence[int]) -> list[str]:
    """Be the process that asked: with its stdin, stdout and stderr, its folder and its environment."""
    for own, file in enumerate(files):
        os.dup2(file, own)
        os.close(file)
    os.chdir(job["cwd"])
    os.environ.clear()
    os.environ.update(job["environ"])
    if not job["ignored"]:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return job["argv"]


def main() -> None:
    """Run a job, here or in a copy of the process that has imported everything; end as it ended."""
    argv = sys.argv[1:]
    if argv[0] == "--preload":
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the jobs
        for name in MODULES:
            importlib.import_module(name)
        listener, wanted = map(int, argv[1:3])
        argv = _serve(socket.socket(fileno=listener), wanted, argv[3:])
        os.close(wanted)
    elif (status := _handed_over(argv[0], argv[1:])) is not None:
        code = os.waitstatus_to_exitcode(status)
        if code < 0:
            with suppress(OSError):  # SIGKILL has no handler
                signal.signal(-code, signal.SIG_DFL)
            os.kill(os.getpid(), -code)
        sys.exit(code)
    sys.argv = argv
    runpy.run_module(f"amun_steps.{argv[0]}", run_name="__main__", alter_sys=True)
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # to take down all that was imported takes Python a second


if __name__ == "__main__":
    main()
