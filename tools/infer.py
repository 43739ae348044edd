"""Predict with a trained model: ``python tools/infer.py CONFIG CHECKPOINT INPUT --out DIR``."""

from mmcggm.utils.processes import wait_passively
from mmcggm.utils.run_tool import run_tool


def main() -> int:
    wait_passively()
    # Here, since torch reads once, when it is loaded, how threads wait.
    from mmcggm.apis.infer import main

    return main()


if __name__ == '__main__':
    run_tool(main, status_of_errors=2)
