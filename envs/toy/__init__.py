"""A small suite of our own: a point robot that touches blocks, for tests and first steps."""
