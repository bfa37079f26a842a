"""What is watched: numbers for Prometheus, traces, drift of pictures and answers, and canaries."""
