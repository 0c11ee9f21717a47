"""What is asked for: options, recipes, and the plan of episodes that follows from them."""
