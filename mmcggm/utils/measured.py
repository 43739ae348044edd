"""What a tool has measured, on the screen and in a file."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .atomic import replacing


def add_json_argument(parser: argparse.ArgumentParser) -> None:
    """Add ``--json PATH``."""
    parser.add_argument('--json', type=Path, help='also write the figures here')


def give(figures: Mapping[str, Any], path: Path | None) -> None:
    """Print figures as JSON and, where ``path`` is given, write them there, whole or not at all."""
    text = json.dumps(figures, indent=2)
    print(text)
    if path:
        with replacing(path) as temporary:
            temporary.write_text(text + '\n', encoding='utf-8')
