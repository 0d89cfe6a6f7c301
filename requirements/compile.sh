#!/usr/bin/env bash
# Remakes cpu.lock and gpu.lock from pyproject.toml. Keeps pinned versions unless called with --upgrade.
# Run by `make lock`; needs the registry, and torch's CPU build (see install.sh, torch_links).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. requirements/torch_links.sh

uv=.venv/bin/uv
[ -x "$uv" ] || uv=uv
common=(--python-version 3.11 --extra dev --custom-compile-command "make lock" --no-annotate --quiet)

# torchvision, torchaudio and torchcodec in the registry are built against a CUDA torch: beside the CPU
# torch they break the import of transformers' models. triton is 1 GB and has no CPU backend.
leave_out=(torchvision torchaudio torchcodec triton)
links=$(torch_links)
UV_FIND_LINKS=$links "$uv" pip compile pyproject.toml --extra cpu -o requirements/cpu.lock \
  "${common[@]}" --python-platform x86_64-manylinux_2_28 "${leave_out[@]/#/--no-emit-package=}" "$@"

# No local wheels here: a folder with the CPU torch would win over the registry's CUDA build.
env -u UV_FIND_LINKS "$uv" pip compile pyproject.toml --extra gpu -o requirements/gpu.lock \
  "${common[@]}" --python-platform x86_64-manylinux_2_28 "$@"
