"""A gate's verdict and the ranks of policies, written for terminals, CI servers and machines."""
