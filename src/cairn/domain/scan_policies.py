"""What scans decide about giving files out."""

from enum import StrEnum


class ScanPolicy(StrEnum):
    """What becomes of files by their scans, from the loosest to the strictest.

    `allow`: nothing is scanned. `warn`: given out at once, with what a scan found. `hold`: scanned
    before anybody but writers gets them, and malicious ones kept back.
    """

    ALLOW = "allow"
    WARN = "warn"
    HOLD = "hold"

    @property
    def strictness(self) -> int:
        """More for stricter."""
        return list(ScanPolicy).index(self)

    @classmethod
    def strictest(cls, *policies: "ScanPolicy | None") -> "ScanPolicy":
        """The strictest of some, of which one is not None."""
        return max((one for one in policies if one is not None), key=lambda one: one.strictness)
