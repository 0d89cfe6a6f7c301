"""Starts vLLM's API server in this process, in the way that is quickest for a small CPU model.

Run as a script in vLLM's place with vLLM's own flags. vLLM on a CPU spawns fresh interpreters for
its engine core and for model inspection, and each imports torch and vLLM again (ten seconds and
more). With one OpenMP thread and no separate worker nothing in the parent stops the core from
being forked, as vLLM does on a GPU. Where vLLM no longer has these two hooks, it starts as usual.
"""

import runpy

SERVER = "vllm.entrypoints.openai.api_server"


def main() -> None:
    from vllm import envs
    from vllm.model_executor.models import registry

    hooks = getattr(envs, "environment_variables", {})
    if "VLLM_WORKER_MULTIPROC_METHOD" in hooks:
        hooks["VLLM_WORKER_MULTIPROC_METHOD"] = lambda: "fork"
    if hasattr(registry, "_run_in_subprocess"):
        # Inspection runs apart to keep CUDA uninitialised in the parent; here there is no CUDA.
        registry._run_in_subprocess = lambda inspect: inspect()
    runpy.run_module(SERVER, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
