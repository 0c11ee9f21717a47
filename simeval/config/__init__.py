"""The request: options, recipes, and the plan of episodes made from them."""
