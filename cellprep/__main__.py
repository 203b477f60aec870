"""``python -m cellprep`` is the command ``cellprep``."""

from cellprep.cli import main

if __name__ == "__main__":
    main()
