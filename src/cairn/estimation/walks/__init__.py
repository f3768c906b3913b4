"""One file per kind of model: what its forward pass does, told to a tape."""
