"""One episode: the evaluation loop, observations, interventions, and the episode's log and trace."""
