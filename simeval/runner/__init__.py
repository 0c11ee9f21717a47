"""Many episodes: workers in this process or on Ray, their queue, and progress displays."""
