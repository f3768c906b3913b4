"""One file per family of models, recognised by tensor names and shapes; none knows another."""
