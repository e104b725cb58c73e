"""``python -m atlas_scaling`` is the ``atlas`` program."""

from atlas_scaling.cli.main import main

if __name__ == "__main__":
    main()
