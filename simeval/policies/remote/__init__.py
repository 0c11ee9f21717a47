"""Policies behind servers: clients of other projects' protocols, as policies of simeval."""
