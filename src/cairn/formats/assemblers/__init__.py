"""One file per way in which several files hold one checkpoint; an assembler knows no other."""
