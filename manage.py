#!/usr/bin/env python
"""Run mlserve's commands; `manage.py help` lists them."""

import os
import sys


def main() -> None:
    try:
        from django.core.exceptions import ImproperlyConfigured
        from django.core.management import execute_from_command_line

        from mlserve.conf.dotenv import load_dotenv_once
    except ModuleNotFoundError as error:
        sys.exit(f"{error}. Run it as .venv/bin/python manage.py …, which `make serve` prepares.")
    load_dotenv_once()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlserve.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"The configuration is wrong: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
