"""Local Kubernetes for the demo, the tests and the benchmarks, with the standard library alone."""
