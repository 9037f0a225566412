"""The Python client of the web service: publish and manage services, classify images, run batches.

Takes a server's address and a token, returns the records of the API as plain dicts.
"""

from galclass.client.client import Batch, Client, ClientError, Service

__all__ = ["Batch", "Client", "ClientError", "Service"]
