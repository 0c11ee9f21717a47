"""The command line."""

from simeval.core.gc_pause import collect_rarely

collect_rarely()  # before the libraries are imported
