"""The base of all commands: errors as one line and an exit status, tables, progress, the user of the shell.

In a pipe or a log there is no colour, no progress, and no line is wrapped or cut.
"""

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from django import db
from django.core.management.base import BaseCommand, CommandError, SystemCheckError
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from mlserve.errors import FieldError, MlserveError
from mlserve.observability.database_errors import trouble_of
from mlserve.processes.standard_streams import leave_stdout
from mlserve.units import size_text

_MOST_LISTED_ERRORS = 20
_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
# Wider than any line: a stream that is no terminal has no width to wrap at.
_UNBOUNDED_COLUMNS = 100_000
# On a narrower terminal the lines of a table wrap, which is ugly but loses nothing.
_FEWEST_COLUMNS = 80


class _Speed(ProgressColumn):
    """rich's own column of speeds knows no binary units."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{size_text(speed)}/s" if speed else "?", style="progress.data.speed")


class TerminalCommand(BaseCommand):
    """Exit status 0: done; 1: refused or failed, with one line on stderr; 2: wrong usage; 130: Ctrl-C.

    Called through `call_command`, the same refusal is a CommandError.
    """

    _called_from_command_line: bool  # Django's

    def execute(self, *args: Any, **options: Any) -> str | None:
        out, err = options.get("stdout") or sys.stdout, options.get("stderr") or sys.stderr
        self._show_unencodable(out, err)
        self.is_terminal = bool(out.isatty())
        self._console = _console(out, no_color=options["no_color"])
        self._progress_console = _console(err, no_color=options["no_color"])
        try:
            return self._execute_or_refuse(*args, **options)
        except BrokenPipeError:
            self._leave_stdout()  # `… | head` has read enough
            sys.exit(1)
        except KeyboardInterrupt:
            if not self._called_from_command_line:
                raise
            sys.exit(_INTERRUPTED)

    def say(self, sentence: str) -> None:
        """One line on stdout; control characters in it are made visible."""
        self.stdout.write(printable(sentence))

    def show(self, table: Table) -> None:
        with self._console.capture() as captured:
            self._console.print(table)
        for line in captured.get().splitlines():
            self.stdout.write(line if self.is_terminal else line.rstrip())

    def show_json(self, value: Any, *, indent: int | None = 2) -> None:
        encoding = getattr(self.stdout, "encoding", None) or "utf-8"
        self.stdout.write(json.dumps(value, indent=indent, ensure_ascii=encoding.lower() != "utf-8", allow_nan=False))

    @contextmanager
    def working(self, stage: str) -> Iterator[Callable[[str], None]]:
        """A spinner with the current stage while the block runs; gives the function that names the next stage."""
        with self._progress(SpinnerColumn(), _description(), TimeElapsedColumn()) as progress:
            task = progress.add_task(stage, total=None)
            yield lambda following: progress.update(task, description=following)

    @contextmanager
    def counting(self, what: str, total: int) -> Iterator[Callable[[int], None]]:
        """A bar while the block runs; gives the function that says how many more are done."""
        columns = (_description(), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with self._progress(*columns) as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.advance(task, done)

    @contextmanager
    def transferring(self, what: str, total_bytes: int, *, done_bytes: int = 0) -> Iterator[Callable[[int], None]]:
        """A bar with speed and time left while the block runs; gives the function, for any thread, that says how many
        more bytes are done, or fewer by a negative number. `done_bytes` were done before and do not count as speed.
        """
        columns = (_description(), BarColumn(), DownloadColumn(binary_units=True), _Speed(), TimeRemainingColumn())
        with self._progress(*columns) as progress:
            task = progress.add_task(what, total=total_bytes, completed=done_bytes)
            yield lambda done: progress.advance(task, done)

    def _progress(self, *columns: Any) -> Progress:
        # On stderr, so that the output stays clean; removed at the end.
        visible = self.is_terminal and self._progress_console.is_terminal
        return Progress(*columns, console=self._progress_console, transient=True, disable=not visible)

    def _execute_or_refuse(self, *args: Any, **options: Any) -> str | None:
        try:
            output = super().execute(*args, **options)
            self.stdout.flush()
        except (SystemCheckError, BrokenPipeError):
            raise  # Django prints the first in a form of its own
        except (CommandError, MlserveError, db.Error, OSError) as error:
            if options["traceback"]:
                raise
            self._refuse(error)
        return output

    def _refuse(self, error: Exception) -> NoReturn:
        try:
            self.stdout.flush()  # so that the error comes last where both streams go to one log
        except OSError:
            self._leave_stdout()
        for each in _listed(error):
            self.stderr.write(printable(each))
        refusal = error if isinstance(error, CommandError) else CommandError(_sentence(error))
        if not self._called_from_command_line:
            raise refusal from error
        self.stderr.write(printable(f"error: {refusal}"))
        sys.exit(refusal.returncode)

    def _leave_stdout(self) -> None:
        if self._called_from_command_line:
            leave_stdout()

    def _show_unencodable(self, *streams: Any) -> None:
        """A terminal that cannot show a character shows its number instead of ending the command."""
        if self._called_from_command_line:
            for stream in streams:
                stream.reconfigure(errors="backslashreplace")


def printable(text: str) -> str:
    """`text` on one line, with what could steer a terminal (a model's error may hold anything) made visible."""
    return "".join(
        character if character.isprintable() else f"\\x{ord(character):02x}" for character in " ".join(text.split())
    )


def plain_table(*headings: str, may_wrap: Sequence[str] = ()) -> Table:
    """A table without lines; only the columns in `may_wrap` shrink when the terminal is narrow."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, no_wrap=heading not in may_wrap, overflow="fold")
    return table


def cell(text: str, style: str = "") -> Text:
    """A table's cell with `text` as it is: brackets in it are no markup."""
    return Text(printable(text), style)


def shell_user() -> str:
    """The user of the shell, for the record of uploads and promotions."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container may run under a user id without a name
        name = f"uid {os.getuid()}"
    return f"{name} (shell)"


def _console(stream: Any, *, no_color: bool) -> Console:
    if not stream.isatty():
        return Console(file=stream, width=_UNBOUNDED_COLUMNS, color_system=None, force_terminal=False)
    console = Console(file=stream, no_color=no_color or None, highlight=False, emoji=False)
    console.width = max(console.width, _FEWEST_COLUMNS)
    return console


def _description() -> TextColumn:
    return TextColumn("{task.description}", markup=False)


def _listed(error: Exception) -> list[str]:
    """The first rows or fields at fault, and how many more there are."""
    errors: Sequence[FieldError] = getattr(error, "errors", ())
    total: int = getattr(error, "total", len(errors))
    lines = [f"{each.pointer} {each.detail}" for each in errors[:_MOST_LISTED_ERRORS]]
    return lines + ([f"… and {total - len(lines)} more"] if total > len(lines) else [])


def _sentence(error: Exception) -> str:
    """What went wrong and what to do."""
    if isinstance(error, MlserveError):
        return error.detail
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename else f"{error.strerror}."
    if isinstance(error, db.Error):
        return database_sentence(error)
    return str(error)


def database_sentence(error: db.Error) -> str:
    """What an error of the database means, and what to do."""
    trouble = trouble_of(error)
    return trouble.for_operators(error) if trouble else f"The database refused it: {error}"
