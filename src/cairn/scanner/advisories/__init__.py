"""Advisories: flaws known in the programs that load checkpoints, and files known to be bad."""

from cairn.scanner.advisories.concern import floors_of
from cairn.scanner.advisories.known_files import MAX_LIST_BYTES, known_files_csv, parse_known_files
from cairn.scanner.advisories.loaders import Loader, loaders
from cairn.scanner.advisories.osv import MAX_RECORD_BYTES, advisories_in, cut_record, record_id
from cairn.scanner.advisories.shelf import AdvisoryData, AdvisoryShelf

__all__ = [
    "MAX_LIST_BYTES",
    "MAX_RECORD_BYTES",
    "AdvisoryData",
    "AdvisoryShelf",
    "Loader",
    "advisories_in",
    "cut_record",
    "floors_of",
    "known_files_csv",
    "loaders",
    "parse_known_files",
    "record_id",
]
