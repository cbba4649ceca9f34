"""The tabs, one file each: what is laid out, and what its handlers compute."""
