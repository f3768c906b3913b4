"""How long work of the store is ended in the middle."""


class StoppedError(Exception):
    """Raised by a `progress` callback to end an optimize or verify within a blob; nobody's mistake.

    The blob stays as it is. The parts encoded so far are kept: the next optimize shares them.
    """
