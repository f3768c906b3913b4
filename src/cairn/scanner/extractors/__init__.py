"""The extractors, one per file; all that claim some content take it apart, in this order."""

from cairn.plugins import Registry
from cairn.scanner.extractor import Extractor
from cairn.scanner.extractors.pickle_stream import PickleStreamExtractor

EXTRACTORS: Registry[Extractor] = Registry("extractor", [PickleStreamExtractor()])

__all__ = ["EXTRACTORS"]
