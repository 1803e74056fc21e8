"""Child processes, processes that end with their parent, and the supervisor of both parts of `serve`.

Door: `children.fork`, `children.execute`, `supervisor.Supervisor`.
"""
