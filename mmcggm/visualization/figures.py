"""What the project's figures have in common."""

from pathlib import Path

from matplotlib.figure import Figure

from mmcggm.utils.atomic import replacing


def save_figure(figure: Figure, path: str | Path, dpi: int = 200) -> None:
    """Save ``figure`` in the format of the path's suffix; the file is complete or absent."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi, bbox_inches='tight')
