"""The configuration: the environment, `.env`, the Parameter Store.

Door: `mlserve/settings.py` reads all of it through `env.Env`.
"""
