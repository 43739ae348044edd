#!/usr/bin/env bash
# Test on several processes: tools/dist_test.sh CONFIG CHECKPOINT... PROCESSES [test.py's flags]
# On several nodes set NNODES, NODE_RANK, MASTER_ADDR and PORT on each. On one, a free port is found.
set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT... PROCESSES [flags of test.py]" >&2
    exit 2
fi
config=$1 checkpoints=("$2")
shift 2
while [ $# -gt 1 ] && ! [[ $1 =~ ^[0-9]+$ ]]; do
    checkpoints+=("$1")
    shift
done
processes=$1
shift
if ! [[ $processes =~ ^[1-9][0-9]*$ ]]; then
    echo "$0: '$processes' is no number of processes from 1 on; it comes before the flags." >&2
    exit 2
fi
if [ "${NNODES:-1}" = 1 ]; then
    meeting=(--standalone --local-addr=127.0.0.1)
else
    meeting=(--nnodes="$NNODES" --node_rank="${NODE_RANK:-0}"
        --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}")
fi
exec python -m torch.distributed.run "${meeting[@]}" --nproc_per_node="$processes" \
    --monitor-interval=1 \
    "$(dirname "$0")/test.py" "$config" "${checkpoints[@]}" --launcher pytorch "$@"
