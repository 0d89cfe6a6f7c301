# Sourced by install.sh and compile.sh: where torch's CPU build is to be found.

TORCH_CPU_PAGE=https://download.pytorch.org/whl/cpu/torch/

# Prints the places to look for wheels, comma-separated as uv reads them: the ones this machine names
# (PIP_FIND_LINKS is space-separated, UV_FIND_LINKS comma-separated), and PyTorch's own page unless one
# of them is a folder that holds the wheel, so that a machine without internet never asks for that page.
torch_links() {
  local place places=() found=""
  local uv_places=${UV_FIND_LINKS:-}
  read -r -a places <<<"${PIP_FIND_LINKS:-} ${uv_places//,/ }"
  for place in "${places[@]}"; do
    compgen -G "${place#file://}/torch-*+cpu-*.whl" >/dev/null && found=1
  done
  [ -n "$found" ] || places+=("$TORCH_CPU_PAGE")
  (IFS=,; echo "${places[*]}")
}
