"""The verbs: one file each, built from the rooms below, free of bytes, SQL and HTTP."""
