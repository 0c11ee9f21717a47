"""The nouns of simeval and what every other package needs: types, errors, seeds, files."""
