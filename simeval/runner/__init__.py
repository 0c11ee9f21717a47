"""Many episodes: workers in this process or on Ray, their queue, and what a person sees of them meanwhile."""
