"""HTTP on its way in and out: handlers, bodies, JSON, problem details, headers.

Door: `problems` for errors, `renderers` and `jsonbody` for JSON, `handlers.Application` for the server.
"""
