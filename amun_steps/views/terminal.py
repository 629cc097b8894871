"""What the terminal shows while Snakemake runs: a line as a job starts and ends, and in the end why it failed.

The Snakefile calls `watch` with Snakemake's logger, in the process that a person started. Its handler of the terminal
stays and is given this formatter, so that colours, pipes, other logger plugins and the log under .snakemake/log are as
ever.
"""

import logging
import re
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from amun_steps.store.progress import TOLD, duration

LINE = re.compile(r"\d\d:\d\d:\d\d ")
"""How a line of a step's log begins that is no failure (see `amun_steps.store.progress`)."""

LAST = 12
"""The most lines of a log that are shown."""

HIDDEN = re.compile(
    r"Select jobs to execute|Execute \d+ jobs|Shutting down, this|Exiting because a job execution failed"
    r"|Complete log\(s\)|Terminating processes on user|Will exit after finishing"
    r"|WorkflowError:\s+At least one job did not complete successfully"
)
"""Snakemake's messages that say nothing to a person or that `ending` says better."""


class Terminal(logging.Formatter):
    """Snakemake's records as a person wants them; what it does not know is formatted as `usual` does."""

    def __init__(self, usual: logging.Formatter):
        super().__init__()
        self.usual = usual
        self.names: dict[int, str] = {}
        self.logs: dict[int, list[str]] = {}
        self.began: dict[int, float] = {}
        self.ended: list[int] = []
        self.commands: list[str] = []
        self.failed: dict[int, dict[str, Any]] = {}
        self.stopped = False

    def note(self, record: logging.LogRecord) -> bool:
        """Remember what a record says; a filter of the logger, which lets everything through."""
        event, text = getattr(record, "event", None), str(record.msg)
        if event == "job_info":
            self.names[record.jobid] = name(record.rule_name, record.output)
            self.logs[record.jobid] = list(record.log)
            self.began[record.jobid] = time.monotonic()
        elif event == "job_finished":
            self.failed.pop(record.job_id, None)  # it was tried again
            self.ended.append(record.job_id)
        elif event == "job_error" and not self.stopped:  # else it was ended by the interruption
            self.failed[record.jobid] = record.__dict__
        elif event == "error":
            self.commands.append(text)
        self.stopped |= text.startswith(("Terminating processes on user", "Will exit after finishing"))
        return True

    def format(self, record: logging.LogRecord) -> str:
        event, text, now = getattr(record, "event", None), str(record.msg), time.strftime("%H:%M:%S")
        if event == "job_info":
            return f"{now} start   {self.names[record.jobid]}"
        if event == "job_finished":
            took = duration(time.monotonic() - self.began.get(record.job_id, time.monotonic()))
            done = f"{now} done    {self.names.get(record.job_id, record.job_id)} ({took})"
            return "\n".join([done, *told(self.logs.get(record.job_id, ()))])
        if event == "job_error":
            if self.stopped:
                return ""
            return f"{now} FAILED  {self.names.get(record.jobid, record.rule_name)}; waiting for the jobs that run"
        if event == "error" and "CalledProcessError" in text:
            return ""  # a command of a thousand characters; `ending` has its exit status
        over = (self.failed or self.stopped) and text.startswith("Elapsed time")  # it would come after the ending
        return "" if over or HIDDEN.match(text) else self.usual.format(record)

    def ending(self) -> str:
        """Why the run stopped: what is to be the last thing on the terminal."""
        parts = [self._why(job) for job in self.failed.values()]
        if self.stopped:
            parts.append("Interrupted. What is finished stays, and the same command goes on from there.")
        else:
            parts.append("What is finished stays: when the cause is gone, the same command goes on from there.")
        return "\n\n".join(parts)

    def _why(self, job: dict[str, Any]) -> str:
        logs = list(job["log"])
        command = next((text for text in reversed(self.commands) if logs and logs[0] in text), "")
        said = killed(command) or (last_words(Path(logs[0])) if logs else "")
        said = said or "It said nothing: it was killed, ran out of memory or time, or lost its node."
        also = [str(job["rule_msg"])] if job["rule_msg"] else []  # what a cluster says of it
        return "\n".join(
            [f"{self.names.get(job['jobid'], job['rule_name'])} failed:", said, *also, *map("log: {}".format, logs)]
        )


def watch(logger: logging.Logger) -> Terminal:
    """Show Snakemake's records by `Terminal` where Snakemake shows them itself, and have it remember the failures."""
    terminal = Terminal(logging.Formatter())
    for handler in logger.handlers:
        if handler.name == "DefaultStreamHandler":
            terminal.usual = handler.formatter
            handler.setFormatter(terminal)
    logger.addFilter(terminal.note)
    return terminal


def name(rule: str, outputs: list[str]) -> str:
    """A job for people: the rule and its first output, by names without addresses."""
    first = re.sub(r"-[0-9a-f]{12}(?=/)", "", outputs[0]) if outputs else ""
    return f"{rule} {first.removeprefix('results/store/')}".rstrip()


def killed(command: str) -> str:
    """The sentence for a command that a signal ended, by Snakemake's message about its exit status; else ''."""
    status = re.search(r"returned non-zero exit status (\d+)|died with <Signals\.(SIG\w+)", command)
    if not status:
        return ""
    number = int(status[1]) - 128 if status[1] else signal.Signals[status[2]]
    if number not in list(signal.Signals):
        return ""
    sentence = f"It was killed from outside by {signal.Signals(number).name}"
    return sentence + (", as happens when memory runs out." if number == signal.SIGKILL else ".")


def told(logs: Iterable[str]) -> list[str]:
    """What a job that is done says to the person who looks on."""
    texts = [Path(log).read_text(encoding="utf-8", errors="replace") for log in logs if Path(log).is_file()]
    found = re.findall(rf"^\d\d:\d\d:\d\d {TOLD}(.*)", "\n".join(texts), re.MULTILINE)
    return [f"         {said}" for said in found]


def last_words(log: Path) -> str:
    """What a step said when it failed: the end of its log after the lines that it wrote while it ran, of a traceback
    the error itself."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.is_file() else []
    lines = lines[max((number for number, line in enumerate(lines, 1) if LINE.match(line)), default=0) :]
    traceback = [number for number, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    if traceback:
        lines = lines[traceback[-1] + 1 :]
        error = next((number for number, line in enumerate(lines) if not line.startswith(" ")), 0)
        lines = lines[error:]
    return "\n".join(lines[-LAST:]).strip()
