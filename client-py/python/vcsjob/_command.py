"""The command ``vcsjob``: fetch, list, execute. (Equipment 6.4.)"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn, Optional

from ave.exceptions import AveException
from vcsjob._campaign import Campaign
from vcsjob._fetch import TIMEOUT_S, fetch
from vcsjob._status import NORUN, OK
from vcsjob._tree import load_jobs

#: What a shell says of a program that a signal ended.
_SIGNALLED = 128


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Does what the command line says.

    :arg arguments: By default those of this process.
    :returns: The exit status: 0, 1, or with ``--job-status`` that of the worst job.
    """
    for stream in (sys.stdout, sys.stderr):  # a tree may say what the terminal can not show
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.command is None:
        parser.error("say fetch, list or execute")
    try:
        status: int = options.command(options)
    except AveException as error:
        return _refuse(error)
    except KeyboardInterrupt:
        return _SIGNALLED + signal.SIGINT
    return status


def _fetch(options: argparse.Namespace) -> int:
    fetched = fetch(options.source, options.destination, options.refspec, timeout=options.timeout)
    return 0 if fetched == OK else 1


def _list(options: argparse.Namespace) -> int:
    jobs = load_jobs(options.jobs, options.tags)
    if options.json:
        print(json.dumps(jobs))
        return 0
    for job in jobs:
        tags = f"  [{', '.join(job['tags'])}]" if job["tags"] else ""
        banner = f"  {job['banner']}" if job["banner"] else ""
        print(f"{job['path']}{tags}{banner}")
    return 0


def _execute(options: argparse.Namespace) -> int:
    jobs = load_jobs(options.jobs, options.tags)
    campaign = Campaign(options.jobs, jobs, options.env, watched=sys.stderr.isatty())
    campaign.run(options.retry_busy)
    if options.json:
        print(json.dumps({"jobs": campaign.results()}))
    if not jobs:
        print("ERROR: no jobs were executed", file=sys.stderr)
        return NORUN if options.job_status else 1
    return campaign.worst() if options.job_status else 0


class _Syntax(argparse.HelpFormatter):
    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: Optional[str] = None) -> None:
        super().add_usage(usage, actions, groups, prefix or "Syntax: ")


class _Parser(argparse.ArgumentParser):
    """Exits with 1 where the other one says 2."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(formatter_class=_Syntax, allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        sys.exit(_refuse(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="vcsjob", description="Fetches and runs test jobs that live in git.")
    parser.set_defaults(command=None)
    parser.add_argument("-s", "--src-paths", metavar="P,...", help="accepted for old scripts; has no effect")
    commands = parser.add_subparsers(title="commands", metavar="fetch | list | execute")

    part = commands.add_parser("fetch", help="bring a tree of jobs here")
    part.set_defaults(command=_fetch)
    part.add_argument("-s", "--source", required=True, metavar="URL", help="a path, or file, git or ssh")
    part.add_argument("-d", "--destination", required=True, metavar="PATH", help="a new directory, or a git tree")
    part.add_argument("-r", "--refspec", required=True, metavar="REF", help="a branch, a tag or a commit id")
    part.add_argument(
        "-t", "--timeout", type=_seconds, default=TIMEOUT_S, metavar="S", help="seconds for all of it (%(default)s)"
    )

    for name, command, text in (("list", _list, "say what is in a tree"), ("execute", _execute, "run jobs")):
        part = commands.add_parser(name, help=text)
        part.set_defaults(command=command)
        part.add_argument("-j", "--jobs", required=True, metavar="DIR", help="the root of the tree")
        part.add_argument("-t", "--tags", type=_words, metavar="A,B", help="jobs with all of these tags only")
        part.add_argument("--json", action="store_true", help="for programs: the answer as JSON")
    part.add_argument(
        "-e", "--env", type=_words, default=[], metavar="X,Y", help="variables that the jobs may see, beside LANG"
    )
    part.add_argument("--job-status", action="store_true", help="exit with the worst status of a job, not 0")
    part.add_argument(
        "--retry-busy",
        type=_seconds,
        default=0.0,
        metavar="SECONDS",
        help="for so long, run jobs again whose equipment is busy",
    )
    return parser


def _words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 <= seconds < float("inf"):
        raise ValueError
    return seconds


def _refuse(reason: object) -> int:
    print(f"ERROR: {reason}", file=sys.stderr)
    return 1


def _end(number: int, _frame: object) -> NoReturn:
    sys.exit(_SIGNALLED + number)  # what runs is killed on the way out
