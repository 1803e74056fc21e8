"""The WSGI application, as each process of the web server imports it."""

import os
import signal
import threading

from django.core.wsgi import get_wsgi_application

from mlserve.orphans import end_with_parent

if os.environ.get("MLSERVE_GRANIAN") and threading.current_thread() is threading.main_thread():
    # A process forked by granian inherits a handler that swallows SIGTERM until the application is loaded, and
    # survives granian's own death.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    end_with_parent()

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlserve.settings")
application = get_wsgi_application()
