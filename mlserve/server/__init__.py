"""The web server of `serve`, its database at the start, and what a laptop gets prepared.

Door: `webserver.run_web_server`.
"""
