"""``python -m callcov_auth``: the command line, where no script is installed."""

from callcov_auth.cli import main

if __name__ == "__main__":
    main()
