"""The routes of this package, in the order they are tried."""

from starlette.routing import BaseRoute

routes: list[BaseRoute] = []
