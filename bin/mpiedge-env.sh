# Source this file in bash or zsh: it puts mpiedge and its mpirun on the PATH and calms Open MPI.
#   . bin/mpiedge-env.sh
# Whatever you have set yourself stays as it is. Other MPI libraries ignore these variables.

mpiedge_home=$(cd "$(dirname "${BASH_SOURCE[0]:-$0}")/.." && pwd)

case ":$PATH:" in
    *":$mpiedge_home/.venv/bin:"*) ;;
    *) export PATH="$mpiedge_home/.venv/bin:$PATH" ;;
esac
[ -x "$mpiedge_home/.venv/bin/mpiedge-train" ] || echo "mpiedge-env: nothing is installed yet. Run $mpiedge_home/bin/quickstart" >&2

# More ranks than cores are fine, and a rank may use all cores it finds free (mpiedge shares them out itself).
export PRTE_MCA_rmaps_default_mapping_policy="${PRTE_MCA_rmaps_default_mapping_policy-slot:oversubscribe}"  # Open MPI 5
export PRTE_MCA_hwloc_default_binding_policy="${PRTE_MCA_hwloc_default_binding_policy-none}"
export OMPI_MCA_rmaps_base_oversubscribe="${OMPI_MCA_rmaps_base_oversubscribe-1}"  # Open MPI 4
export OMPI_MCA_hwloc_base_binding_policy="${OMPI_MCA_hwloc_base_binding_policy-none}"

# One-sided communication is not used, and its UCX part warns where there is no fast network.
export OMPI_MCA_osc="${OMPI_MCA_osc-^ucx}"

# Open MPI refuses to start as root unless told twice; in a container root is often the only user.
if [ "$(id -u)" = 0 ]; then
    export OMPI_ALLOW_RUN_AS_ROOT="${OMPI_ALLOW_RUN_AS_ROOT-1}"
    export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="${OMPI_ALLOW_RUN_AS_ROOT_CONFIRM-1}"
fi
unset mpiedge_home
