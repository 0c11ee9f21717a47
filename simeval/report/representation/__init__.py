"""What was found inside policies: in the terminal, as a page, and as a chapter of a study."""
