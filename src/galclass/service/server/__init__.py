"""The app and its process: middleware in order, protocol, logs, start and shutdown.

Takes a configuration, serves until stopped.
"""

from galclass.service.server.run import addresses, app_from_environment, serve, server_options

__all__ = ["addresses", "app_from_environment", "serve", "server_options"]
