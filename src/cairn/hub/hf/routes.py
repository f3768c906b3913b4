"""Every route of the Hugging Face wire, in the order they are tried."""

from starlette.routing import BaseRoute

routes: list[BaseRoute] = []
