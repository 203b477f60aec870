"""Runs the notebooks of examples/ again, and writes their outputs: ``python docs/notebooks.py``."""

from pathlib import Path

import nbformat
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parent.parent / "examples"
NOTEBOOKS = sorted(EXAMPLES.glob("*.ipynb"))


def run(path: Path) -> nbformat.NotebookNode:
    """Execute a notebook, and return it with its outputs but without times and paths."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    client = NotebookClient(notebook, timeout=600, record_timing=False, resources={"metadata": {"path": EXAMPLES}})
    client.execute()
    notebook.metadata.pop("language_info")
    return notebook


def main() -> None:
    """Write them all."""
    for path in NOTEBOOKS:
        nbformat.write(run(path), path)


if __name__ == "__main__":
    main()
