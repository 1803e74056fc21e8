#!/usr/bin/env python
"""Run mlserve's commands; `manage.py help` lists them."""

import os
import sys

from mlserve.dotenv import load_dotenv_once


def main() -> None:
    load_dotenv_once()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlserve.settings")
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"The configuration is wrong: {error}")


if __name__ == "__main__":
    main()
