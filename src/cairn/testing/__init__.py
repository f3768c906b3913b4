"""Conformance suites: subclass one per plug-in, inherit its tests."""
