#!/usr/bin/env bash
# Score a survey on two Slurm nodes: sbatch deploy/slurm.sh IMAGES OUTPUT [MODEL]
# IMAGES and OUTPUT are on a disk that all nodes see, or URLs; galclass[cluster] is installed in $GALCLASS_ENV there.
# Submitted again, it resumes where it stopped (--requeue does this automatically).
#SBATCH --job-name=galclass
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --mem=32G
#SBATCH --time=04:00:00
#SBATCH --requeue
set -euo pipefail

images=${1:?images: a folder on a shared disk, or a URL}
output=${2:?output: a folder on a shared disk, or a URL}
model=${3:-package}

# shellcheck disable=SC1091  # the environment is the user's
source "${GALCLASS_ENV:?the virtual environment of galclass}/bin/activate"
export OMP_NUM_THREADS=1 ORT_DISABLE_TELEMETRY=1 RAY_USAGE_STATS_ENABLED=0
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN
RAY_AUTH_TOKEN=$(head -c 24 /dev/urandom | base64 | tr -d '+/=')  # other users of these nodes cannot join

head_node=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
address="$(getent hosts "$head_node" | awk '{print $1; exit}'):$((20000 + SLURM_JOB_ID % 20000))"

# Starts Ray on every node, runs the command on the first, and stops Ray when it ends.
srun --kill-on-bad-exit=0 ray symmetric-run \
  --address "$address" --min-nodes "$SLURM_NNODES" --num-cpus "$SLURM_CPUS_PER_TASK" --disable-usage-stats -- \
  galclass score --cluster auto --images "$images" --output "$output" --model "$model"
