"""What the registry announces to whoever stands on it."""

from django.dispatch import Signal

# An upload waits for a worker. Sent after the commit; without arguments, for the table says which one.
inspection_wanted = Signal()
