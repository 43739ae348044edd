"""Join ready-made features of CMU-MOSI's utterances and their videos, split by video, in one file.

    python tools/dataset_converters/mosi_utterances.py data/mosi_tables --out data/mosi_utterances

The folder holds transcripts.csv and {text,audio,video}_{train,test}0.csv of
soujanyaporia/contextual-utterance-level-multimodal-sentiment-analysis. Some of the videos that test there
validate here, see the page 'Real sets of features' of the documentation.
"""

import argparse
from pathlib import Path

from mmcggm.datasets.mosi_utterances.converter import FILE, convert_folder
from mmcggm.utils.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='folder of the tables')
    parser.add_argument('--out', type=Path, required=True, help='folder for the file; made if absent')
    parser.add_argument('--seed', type=int, default=0, help='of the videos that validate (default: 0)')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    counts = convert_folder(args.source, args.out, seed=args.seed)
    print(f'Wrote {args.out / FILE}, utterances: ' + ', '.join(f'{n} {split}' for split, n in counts.items()))
    return 0


if __name__ == '__main__':
    run_tool(main)
