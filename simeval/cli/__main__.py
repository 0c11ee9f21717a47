"""`python -m simeval.cli`: the same as `simeval`."""

from simeval.cli.app import main

if __name__ == "__main__":
    main()
