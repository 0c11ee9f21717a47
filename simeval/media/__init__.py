"""Images and videos of episodes and of conditions."""
