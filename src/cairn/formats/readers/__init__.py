"""One file per format; a reader knows no other reader."""
