"""The `cairn` command: thin skins over the verbs, one file per command."""
