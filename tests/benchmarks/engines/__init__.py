"""The in-house network behind other serving engines, each as its own documentation would have it; for `bench_serving`."""
