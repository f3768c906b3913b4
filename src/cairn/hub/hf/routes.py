"""Every route of the Hugging Face wire, in the order they are tried."""

from starlette.routing import BaseRoute

from cairn.hub.hf import (
    access_requests,
    account,
    commit,
    history,
    info,
    lfs,
    lfs_transfer,
    listing,
    preupload,
    refs,
    repos,
    resolve,
    tree,
)

routes: list[BaseRoute] = [
    *resolve.routes,
    *lfs.routes,
    *lfs_transfer.routes,
    *account.routes,
    *access_requests.routes,
    *repos.routes,
    *listing.routes,
    *tree.routes,
    *preupload.routes,
    *commit.routes,
    *refs.routes,
    *history.routes,
    *info.routes,
    *resolve.last_routes,
]
