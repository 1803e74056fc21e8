"""The web server of `serve`, and what a laptop gets prepared. Door: `webserver.run_web_server`."""
