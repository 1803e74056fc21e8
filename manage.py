#!/usr/bin/env python
"""Run mlserve's commands; `manage.py help` lists them."""

import os
import sys


def main() -> None:
    try:
        from django import db
        from django.core.exceptions import ImproperlyConfigured

        from mlserve.processes.standard_streams import leave_stdout, open_standard_streams
    except ModuleNotFoundError as error:
        sys.exit(f"{error}. Run it as .venv/bin/python manage.py …, which `make serve` prepares.")
    open_standard_streams()
    try:
        _run()
    except ImproperlyConfigured as error:
        sys.exit(f"The configuration is wrong: {error}")
    except db.Error as error:  # of Django's own commands, such as migrate
        if "--traceback" in sys.argv:
            raise
        from mlserve.terminal import database_sentence, printable

        sys.exit(printable(f"error: {database_sentence(error)}"))
    except BrokenPipeError:  # … | head
        leave_stdout()
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


def _run() -> None:
    from django.core.management import execute_from_command_line

    from mlserve.conf.dotenv import load_dotenv_once

    load_dotenv_once()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlserve.settings")
    try:
        execute_from_command_line(sys.argv)
    finally:
        sys.stdout.flush()


if __name__ == "__main__":
    main()
