#!/usr/bin/env bash
# Test through Slurm: tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT... [test.py's flags]
# GPUS, GPUS_PER_NODE and CPUS_PER_TASK set the size of the job, SRUN_ARGS adds flags to srun.
set -euo pipefail
if [ $# -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT... [flags of test.py]" >&2
    exit 2
fi
partition=$1 job_name=$2 config=$3
shift 3
gpus=${GPUS:-8} gpus_per_node=${GPUS_PER_NODE:-8}
exec srun -p "$partition" --job-name="$job_name" \
    --gres="gpu:$gpus_per_node" --ntasks="$gpus" --ntasks-per-node="$gpus_per_node" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" --kill-on-bad-exit=1 ${SRUN_ARGS:-} \
    python -u "$(dirname "$0")/test.py" "$config" "$@" --launcher=slurm
