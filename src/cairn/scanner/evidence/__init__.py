"""What extractors note of files, and rules judge: kinds of evidence, one module per family."""
