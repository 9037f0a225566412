"""A package, so that its two nodes end with its last test: a cluster that waits takes a twentieth of a core."""
