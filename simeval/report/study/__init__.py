"""The report of a study: its policies side by side, in the terminal and as a page."""
