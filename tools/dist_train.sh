#!/usr/bin/env bash
# Train on several processes: tools/dist_train.sh CONFIG PROCESSES [train.py's flags]
# On several nodes set NNODES, NODE_RANK, MASTER_ADDR and PORT on each. On one, a free port is found.
# MAX_RESTARTS=3 tools/dist_train.sh ... --resume begins again so often when a process dies, from the newest
# checkpoint. Without it, one that dies ends the others.
set -euo pipefail
if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG PROCESSES [flags of train.py]" >&2
    exit 2
fi
config=$1 processes=$2
shift 2
if ! [[ $processes =~ ^([1-9][0-9]*|auto|cpu|gpu)$ ]]; then
    echo "$0: '$processes' is no number of processes from 1 on; it comes before the flags." >&2
    exit 2
fi
if [ "${NNODES:-1}" = 1 ]; then
    meeting=(--standalone --local-addr=127.0.0.1)
else
    meeting=(--nnodes="$NNODES" --node_rank="${NODE_RANK:-0}"
        --master_addr="${MASTER_ADDR:-127.0.0.1}" --master_port="${PORT:-29500}")
fi
if [ "${MAX_RESTARTS:-0}" != 0 ] && [[ " $* " != *" --resume "* ]]; then
    echo "MAX_RESTARTS needs --resume: without it, each restart would train from the start." >&2
    exit 2
fi
# With a store that outlives a restart, processes would look for those that died.
export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1
exec python -m torch.distributed.run "${meeting[@]}" --nproc_per_node="$processes" \
    --max-restarts="${MAX_RESTARTS:-0}" --monitor-interval=1 \
    "$(dirname "$0")/train.py" "$config" --launcher pytorch "$@"
