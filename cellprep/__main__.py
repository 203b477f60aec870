"""Let ``python -m cellprep`` run the command ``cellprep``."""

from cellprep.cli import main

if __name__ == "__main__":
    main()
