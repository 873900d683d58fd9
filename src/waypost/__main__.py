"""`python -m waypost` is the command `waypost`."""

from waypost.faces.cli.main import run

if __name__ == "__main__":
    run()
