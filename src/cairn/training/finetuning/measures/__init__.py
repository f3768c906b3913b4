"""Numbers that say how good a model is, each file those of one kind of answer."""
