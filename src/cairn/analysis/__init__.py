"""Numbers about tensor values: statistics, comparison. Arrays in, numbers out."""
