"""The app and the process round it: middleware in order, protocol, logs, start and shutdown.

Takes a configuration, serves until it is told to stop.
"""

from galclass.service.server.run import addresses, app_from_environment, serve, server_options

__all__ = ["addresses", "app_from_environment", "serve", "server_options"]
