"""The Xet upload protocol: tokens, xorbs, shards."""
