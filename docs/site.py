"""What the documentation site takes from outside ``docs``: the notebooks, as ``make docs`` has executed them."""

from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files

_ROOT = Path(__file__).parents[1]


@event_priority(100)  # before mkdocs-jupyter turns notebooks into pages
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the notebooks: executed ones where there are any, else as they are kept."""
    for path in sorted((_ROOT / "notebooks").glob("*.ipynb")):
        page = File(f"notebooks/{path.name}", str(_ROOT), config.site_dir, config.use_directory_urls)
        executed = _ROOT / "out/notebooks" / path.stem / "notebook.ipynb"
        page.abs_src_path = str(executed if executed.exists() else path)
        files.append(page)
    return files
