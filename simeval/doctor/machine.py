"""Checks of the machine: GPU and driver, cores and threads, memory, disk."""

from pathlib import Path

from simeval.doctor.findings import Finding, failure, note, ok
from simeval.doctor.surroundings import Machine

GIB = 2**30

MINIMUM_DRIVER = {12: 525, 13: 580}
"""Major version of CUDA -> of the oldest driver that runs it. Source: NVIDIA, CUDA Compatibility, minor versions."""

COMPAT = "/usr/local/cuda/compat/libcuda.so.1"
"""Compatibility library with which older data-centre drivers run a newer CUDA; part of NVIDIA's images."""

WORKER_MEMORY = 1.2 * GIB
"""Memory of a rollout worker with an official LIBERO scene. Source: resident size, 0.8 to 1.2 GiB measured."""

RAY_STORE = 0.25 * GIB
"""Shared memory that Ray needs in a run. Source: `object_store_memory` in `simeval.runner.session`, rounded up."""

_TOOLKIT = "sudo nvidia-ctk runtime configure --runtime=docker && sudo systemctl restart docker"


def check_gpu(here: Machine) -> Finding:
    """Which GPUs the machine has, and whether they are usable."""
    fields = "name,memory.total,driver_version"
    answer = here.run(["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader,nounits"], 30.0)
    if answer.code == 0 and answer.out.strip():
        rows = [[cell.strip() for cell in line.split(",")] for line in answer.out.strip().splitlines()]
        names = [f"{name} ({int(memory) / 1024:.0f} GiB)" if memory.isdigit() else name for name, memory, _ in rows]
        kinds = [f"{names.count(name)} x {name}" for name in dict.fromkeys(names)]
        return ok("gpu", f"{', '.join(kinds)}, driver {rows[0][2]}")
    if here.exists("/dev/nvidia0"):
        return failure(
            "gpu",
            f"there is an NVIDIA GPU, but nvidia-smi does not work: {answer.reason}",
            f"in a container: {_TOOLKIT}; otherwise reinstall the driver, or reboot after its update",
        )
    if here.image == "gpu":
        return failure("gpu", "no GPU in this container", f"docker run --gpus all ...; if that fails: {_TOOLKIT}")
    return note("gpu", "no NVIDIA GPU: policies and images are computed on the CPU")


def check_driver(here: Machine) -> Finding:
    """Whether the driver can run the CUDA that torch was built for."""
    toolkit = here.installed.get("cuda-toolkit") or here.installed.get("nvidia-cuda-runtime")
    answer = here.run(["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], 30.0)
    if answer.code != 0 or not answer.out.strip():
        return note("driver", "no NVIDIA driver to check")
    driver = answer.out.split()[0]
    if toolkit is None:
        return note(
            "driver",
            f"driver {driver}, but torch has no CUDA: policies run on the CPU",
            "build the image without VARIANT=cpu; in a checkout: make clean setup",
        )
    needed = MINIMUM_DRIVER.get(int(toolkit.split(".")[0]))
    if needed is None or int(driver.split(".")[0]) >= needed:
        return ok("driver", f"driver {driver} runs CUDA {toolkit}")
    if here.exists(COMPAT):
        return note("driver", f"driver {driver} is older than CUDA {toolkit} wants ({needed}); {COMPAT} may help it")
    return failure(
        "driver",
        f"driver {driver} is too old for CUDA {toolkit}, which needs {needed} or later",
        f"on Ubuntu: sudo apt-get install nvidia-driver-{needed}-server && sudo reboot; or use the container image",
    )


def check_torch(here: Machine) -> Finding:
    """Whether torch computes correctly on every GPU."""
    if not here.exists("/dev/nvidia0") and here.image != "gpu":
        return note("torch", "not tried: no NVIDIA GPU")
    answer = here.module("simeval.doctor.gpu_matmul", limit=180.0)
    if answer.code == 0:
        return ok("torch", answer.out.strip())
    return failure("torch", f"torch cannot use the GPU: {answer.reason}", "see gpu and driver; else: make clean setup")


def check_threads(here: Machine) -> Finding:
    """Whether processes will compete for cores with more threads than they need."""
    usable, threads = here.cores(), here.env.get("OMP_NUM_THREADS")
    text = f"{usable:g} cores usable, OMP_NUM_THREADS={threads or 'not set'}"
    if threads != "1":
        return note("threads", f"{text}: more threads than cores make everything several times slower",
                    "export OMP_NUM_THREADS=1")  # fmt: skip
    return ok("threads", text)


def check_memory(here: Machine) -> Finding:
    """Whether the workers fit into memory, and Ray's data into shared memory."""
    free, workers = here.memory(), max(1, int(here.cores()))
    fitting = int(free / WORKER_MEMORY)
    if fitting < 1:
        return failure("memory", f"{free / GIB:.1f} GiB free, a worker takes about {WORKER_MEMORY / GIB:.1f}",
                     "close other programs, or give the container more (docker run --memory 8g)")  # fmt: skip
    if fitting < workers:
        return note("memory", f"{free / GIB:.1f} GiB free: room for about {fitting} workers with official scenes",
                    f"simeval run --workers {fitting}")  # fmt: skip
    shared = Path("/dev/shm")
    if here.exists(str(shared)) and here.space_free(shared) < RAY_STORE:
        return note("memory", f"{here.space_free(shared) / GIB:.2f} GiB of shared memory: Ray will use the disk",
                    "docker run --shm-size=2g")  # fmt: skip
    return ok("memory", f"{free / GIB:.1f} GiB free")


def check_disk(here: Machine, results: Path) -> Finding:
    """Whether results and downloads can be written."""
    cache = Path(here.env.get("HF_HOME") or Path(here.env.get("HOME", "~")).expanduser() / ".cache")
    for folder, what in ((results, "results"), (cache, "downloads")):
        if not here.writable(folder):
            mend = f"mkdir -p {folder} && sudo chown $(id -u) {folder}"
            if here.image:
                mend = f"docker run --user $(id -u):$(id -g) -v $PWD/results:{results.absolute()} ..."
            return failure("disk", f"{what} cannot be written to {folder}", mend)
        if here.space_free(folder) < GIB:
            return failure("disk", f"{here.space_free(folder) / GIB:.1f} GiB left for {what} in {folder}",
                         f"free some space, or put {what} elsewhere")  # fmt: skip
    free = {what: here.space_free(folder) / GIB for folder, what in ((results, "results"), (cache, "downloads"))}
    text = ", ".join(f"{amount:.0f} GiB for {what}" for what, amount in free.items())
    return ok("disk", f"free: {text}") if min(free.values()) >= 10 else note("disk", f"free: only {text}")
