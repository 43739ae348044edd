"""Join ready-made features of MELD's dev utterances, their emotions and their dialogues in one file.

    python tools/dataset_converters/meld.py data/meld_files --out data/meld

The folder holds dev_sent_emo.csv (declare-lab/MELD), text_base_val.pkl and audio_wav2vec2_val.pkl
(iosonopersia/Multimodal-Emotion-Recognition) and vision_dev_35_aus.pickle (hguuuu/MML). Pickles are read
without running code in them.
"""

import argparse
from pathlib import Path

from mmcggm.datasets.meld.converter import FILE, convert_folder
from mmcggm.utils.run_tool import run_tool


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('source', type=Path, help='folder of the four files')
    parser.add_argument('--out', type=Path, required=True, help='folder for the file; made if absent')
    return parser.parse_args()


def main() -> int:
    args = parse_args()
    counts = convert_folder(args.source, args.out)
    print(
        f'Wrote {args.out / FILE}: {counts["utterances"]} utterances of {counts["dialogues"]} dialogues; '
        f'{counts["without_vision"]} have no vision and are left out'
    )
    return 0


if __name__ == '__main__':
    run_tool(main)
