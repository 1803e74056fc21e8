"""Which bytes become a Python object, and which never do. Door: `loading.load`, and nothing else unpickles."""
