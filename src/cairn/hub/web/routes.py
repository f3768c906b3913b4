"""The routes of this package, in the order they are tried, and the page for errors."""

from starlette.routing import BaseRoute

from cairn.hub.web import (
    access_requests,
    account,
    api_docs,
    assets,
    blob,
    card,
    commits,
    compare,
    default_revision,
    estimate,
    files,
    gate,
    listing,
    notifications,
    profile,
    provider,
    recalls,
    security,
    security_desk,
    security_forms,
    session,
    storage,
    tensors,
    tokens,
    training,
    weights,
)
from cairn.hub.web.errors import error_page

__all__ = ["error_page", "routes"]

# The profile takes every single segment, so it comes after all pages with a fixed name;
# a repo's first page takes every pair, so the pages with fixed pairs come before it.
routes: list[BaseRoute] = [
    *assets.routes,
    *api_docs.routes,
    *listing.routes,
    *session.routes,
    *account.routes,
    *provider.routes,
    *tokens.routes,
    *recalls.routes,
    *notifications.routes,
    *files.routes,
    *blob.routes,
    *commits.routes,
    *compare.routes,
    *tensors.routes,
    *storage.routes,
    *weights.routes,
    *training.routes,
    *estimate.routes,
    *gate.routes,
    *access_requests.routes,
    *security_forms.routes,
    *security_desk.routes,
    *security.routes,
    *default_revision.routes,
    *card.routes,
    *profile.routes,
]
