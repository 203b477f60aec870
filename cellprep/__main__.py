"""Run the command ``cellprep`` as ``python -m cellprep``."""

from cellprep.cli import main

if __name__ == "__main__":
    main()
