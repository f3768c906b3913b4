"""What whoever started this process asks of its run, by the variable CAIRN_RUN."""

import os
from pathlib import Path

from cairn.domain import RunOrders
from cairn.formats.training_run import ORDERS, parse_orders

NO_ORDERS = RunOrders("")


def orders_for(folder: Path) -> RunOrders:
    """The orders for the run that this program has in a folder; none for others.

    Raises:
        MalformedError: the variable says something else.
    """
    text = os.environ.get(ORDERS)
    if not text:
        return NO_ORDERS
    orders = parse_orders(text)
    return orders if Path(orders.folder).resolve() == folder.resolve() else NO_ORDERS
