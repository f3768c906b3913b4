"""The hub: everything that speaks HTTP, and the only room with async code."""
