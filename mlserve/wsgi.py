"""The WSGI application."""

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlserve.settings")
django.setup(set_prefix=False)

from mlserve.http.handlers import Application  # noqa: E402 - it needs the apps

application = Application()
