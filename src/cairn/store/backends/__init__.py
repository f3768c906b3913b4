"""Where the store's objects live: a backend keeps bytes under string keys."""

from cairn.store.backends.base import Backend, Draft, ObjectInfo, ObjectNotFoundError, OpenObject
from cairn.store.backends.local import LocalBackend

__all__ = ["Backend", "Draft", "LocalBackend", "ObjectInfo", "ObjectNotFoundError", "OpenObject"]
