"""Classes that stand in for those of other packages, each in a module of the other package's name."""
