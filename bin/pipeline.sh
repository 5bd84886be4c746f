#!/usr/bin/env bash
# The three stages and predictions, chained. Each reads what the one before it committed in the run folder.
#   bin/pipeline.sh HOSTFILE RUN LABEL TABLE.csv...
#   bin/pipeline.sh hostfiles/pi.txt results/papers area papers.csv cites.csv
set -euo pipefail

[ $# -ge 4 ] || { sed -n '2,4p' "$0"; exit 2; }
hostfile=$1 run=$2 label=$3
shift 3
first=$run/clean/$(basename "${1%.gz}" .csv).csv  # as it is when cleaned
. "$(dirname "${BASH_SOURCE[0]}")/mpiedge-env.sh"

mpirun -hostfile "$hostfile" mpiedge-clean "$@" --run "$run"        # raw tables -> sound tables
mpirun -hostfile "$hostfile" mpiedge-profile --run "$run"           # keys, functional and inclusion dependencies
mpirun -hostfile "$hostfile" mpiedge-train --run "$run" --label "$label"  # the graph along them, a trained network
mpirun -hostfile "$hostfile" mpiedge-predict --run "$run" "$first"  # a prediction for every row of the first table
mpiedge-report "$run"                                                 # one page that shows all of it
