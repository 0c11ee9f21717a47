"""The toy suite: a point robot that touches blocks, for tests and first steps."""
