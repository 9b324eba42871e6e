"""Check processor, memory and disk. The judgements are functions of numbers."""

import os
import shutil
import statistics
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path

from wor import paths
from wor.config.params import HubModel, ModelSpec, Params
from wor.doctor import data, hub
from wor.doctor.finding import Finding, fail, gib, ok, short_path, warn
from wor.machine import control_groups, environment, resources
from wor.process import commands
from wor.weights.hub import cache_folder

GIB = 2**30
WORKING_MEMORY = 1 * GIB  # beside the weights; with less, batches are small and the engine slow
OTHER_OUTPUTS = 0.25 * GIB  # tables, figures, logs and the iteration, beside what stages write per item
SCRATCH = 0.2 * GIB  # temporary files, a hub's dataset
MIN_FILES = 10_000  # inodes; a run makes some hundreds
MEASURED = 1.0  # seconds for each kind of product
SIDE = 1024  # rows and columns of the multiplied matrices


def check_load(params: Params) -> Iterator[Finding]:
    cores = control_groups.available_cores()
    yield judge_load(os.getloadavg()[0], params.compute.threads or cores, cores)


def judge_load(load: float, threads: int, cores: int) -> Finding:
    """Compare the load average and the run's threads with the cores.

    Threads work on items of their own, so they share the cores with the load: (threads + load) /
    cores of the time. The load lags by a minute, so half a core and a tenth of all cores are
    tolerated.
    """
    detail = f"{load:.1f} processes busy over the last minute, {cores} cores"
    if threads + load <= cores + 0.5 + cores / 10:
        return ok("load", detail)
    fewer = max(1, cores - round(load))
    remedy = "Let the others finish first" + (f", or: wor run -S compute.threads={fewer}" if fewer < threads else "")
    times = (threads + load) / cores
    return warn("load", f"{detail}: a run with {threads} threads takes about {times:.1f} times as long", remedy)


def check_cpu(params: Params, seconds: float = MEASURED) -> Iterator[Finding]:
    cores = control_groups.available_cores()
    threads = params.compute.threads or cores
    yield judge_threads(threads, cores, control_groups.cpu_quota())
    import torch

    torch.set_num_threads(threads)
    names = {"mkl": "MKL", "mkldnn": "oneDNN"}
    available = [title for name, title in names.items() if getattr(torch.backends, name).is_available()]
    libraries = " and ".join(available) or "neither MKL nor oneDNN"
    capability = torch.backends.cpu.get_cpu_capability()
    yield ok("torch", f"{torch.__version__} with {libraries}, {capability}; {environment.blas_name()}")
    single, half = (measure_products(dtype, seconds) for dtype in (torch.float32, torch.bfloat16))
    yield judge_speed(single, half, params.compute.dtype)


def judge_threads(threads: int, cores: int, quota: float | None) -> Finding:
    detail = f"{environment.cpu_name()}: {cores} cores, {threads} threads"
    if quota is not None and quota < threads:
        detail += f"; the control group allows {quota:g} cores' time, and a paused thread delays all others"
        return warn("CPU", detail, f"wor run -S compute.threads={max(1, int(quota))}")
    if threads > cores:
        return warn("CPU", f"{detail}: they take turns", "wor run -S compute.threads=0")
    return ok("CPU", detail)


def measure_products(dtype: object, seconds: float) -> float:
    """Return the median GFLOP/s of at least three products of square matrices, for ``seconds``."""
    import torch

    left, right = (torch.rand(SIDE, SIDE).to(dtype) for _ in range(2))
    left @ right  # the first one is slower
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    return 2 * SIDE**3 / statistics.median(times) / 1e9


def judge_speed(single: float, half: float, dtype: str) -> Finding:
    """Compare ``single`` (float32) and ``half`` (bfloat16), in GFLOP/s, with compute.dtype."""
    detail = f"measured now: float32 {single:.0f}, bfloat16 {half:.0f} GFLOP/s in products of {SIDE} x {SIDE}"
    if dtype == "bfloat16" and half < single:
        return warn("speed", f"{detail}: compute.dtype is the slower one", "wor run -S compute.dtype=float32")
    return ok("speed", detail)


def check_gpu(params: Params) -> Iterator[Finding]:
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of a driver that it can't use
        has_cuda = torch.cuda.is_available()
    if has_cuda:
        for index in range(torch.cuda.device_count()):
            name = torch.cuda.get_device_properties(index).name
            free, total = torch.cuda.mem_get_info(index)
            kind = "bfloat16 in hardware" if torch.cuda.is_bf16_supported(including_emulation=False) else "no bfloat16"
            detail = f"{name}, {gib(free)} of {gib(total)} free, {kind}"
            yield judge_gpu_memory(free, _weights(params), detail)
    elif torch.backends.mps.is_available():
        yield ok("GPU", "Apple's, through MPS")
    else:
        card = bool(shutil.which("nvidia-smi")) or any(Path("/dev").glob("nvidia[0-9]*"))
        yield judge_missing_gpu(params.compute.device, torch.version.cuda, card)


def judge_gpu_memory(free: int, weights: int, detail: str) -> Finding:
    if free < weights + WORKING_MEMORY:
        remedy = "Free the GPU (nvidia-smi shows who uses it), or: wor run -S compute.device=cpu"
        return fail("GPU", f"{detail}; the model, a null model and its batches need {gib(weights + WORKING_MEMORY)}", remedy)
    return ok("GPU", detail)


def judge_missing_gpu(device: str, cuda: str | None, has_nvidia: bool) -> Finding:
    """Judge a machine where torch finds no GPU. ``cuda`` is the version that torch is built for."""
    if device in ("cuda", "mps"):
        return fail("GPU", f"compute.device is {device}, and torch finds none", "wor run -S compute.device=cpu")
    if has_nvidia and cuda:
        detail = f"torch (built for CUDA {cuda}) cannot use this machine's GPU"
        return warn("GPU", detail, f"Install a driver for CUDA {cuda}, and check CUDA_VISIBLE_DEVICES: nvidia-smi")
    if has_nvidia:
        detail = "this torch is built for the CPU only, and cannot use this machine's GPU"
        return warn("GPU", detail, "Install a torch that is built for CUDA")
    return ok("GPU", "none, and none is needed" + (f" (torch is built for CUDA {cuda}: unused)" if cuda else ""))


def check_memory(params: Params) -> Iterator[Finding]:
    import psutil

    need = resources.LIBRARIES + _weights(params)
    yield judge_memory(psutil.virtual_memory().available, control_groups.memory_left(), need, params.compute.memory_gib)
    if unknown := [name for name in params.models if resources.known_n_params(params.model_specs[name]) is None]:
        yield ok("memory", f"{', '.join(unknown)}: not counted, as its size is unknown before it is downloaded")


def _weights(params: Params) -> int:
    """Return the bytes of the largest model and a null model. Stage nulls loads both."""
    sizes = [resources.known_n_params(params.model_specs[name]) or 0 for name in params.models]
    return resources.weights_in_memory(max(sizes), params.compute.dtype, null_models=1)


def judge_memory(host: int, group: int | None, need: int, memory_gib: float) -> Finding:
    """Compare the need of weights and libraries with bytes free on ``host`` and in ``group``."""
    free = host if group is None else min(host, group)
    detail = f"{gib(free)} free" + (" within the control group's limit" if free == group else "")
    needs = f"the largest model, a null model and the libraries need {gib(need)}"
    if free < need:
        return fail("memory", f"{detail}; {needs}", "Free memory, or take a smaller model")
    if need + memory_gib * GIB > free:
        remedy = f"wor run -S compute.memory_gib={max(0.1, (free - need) / 2 / GIB):.1f}"
        return warn("memory", f"{detail}; {needs}, and compute.memory_gib is {memory_gib:g} more", remedy)
    if free - need < WORKING_MEMORY:
        return warn("memory", f"{detail}; {needs}: little is left for batches, and the run is slow", "Close other programs")
    return ok("memory", f"{detail}; {needs}")


def check_disk(params: Params) -> Iterator[Finding]:
    """Compare file systems with what a run may write. A model of unknown size counts as 0."""
    outputs = OTHER_OUTPUTS + len(params.models) * resources.output_bytes(params, resources.observed_items(params))
    n_items = sum(params.spec(name).n for name in params.datasets)
    iteration = len(params.models) * resources.output_bytes(params, n_items)
    needs = [("repository", paths.project(), outputs + iteration), ("temporary files", Path(tempfile.gettempdir()), SCRATCH)]
    if Path(".dvc").is_dir():
        needs.append(("DVC's cache", commands.dvc_cache(Path.cwd()), outputs))
    needs.append(("converted weights", paths.cache(), _weights_on_disk(data.models_to_convert(params)) + SCRATCH))
    if missing := [spec for spec in hub.hub_specs(params) if hub.cached_folder(spec) is None]:
        models = [spec for spec in missing if isinstance(spec, HubModel)]
        needs.append(("hub's cache", cache_folder(), _weights_on_disk(models) + SCRATCH))
    by_system: dict[int, list[tuple[str, Path, float]]] = {}
    for name, path, need in needs:
        folder = next(parent for parent in (path, *path.parents) if os.path.exists(parent))
        by_system.setdefault(folder.stat().st_dev, []).append((name, folder, need))
    for group in by_system.values():
        names, need = ", ".join(name for name, _, _ in group), sum(need for _, _, need in group)
        system = os.statvfs(group[0][1])
        is_read_only = bool(system.f_flag & os.ST_RDONLY)
        closed = [short_path(folder) for _, folder, _ in group if is_read_only or not os.access(folder, os.W_OK)]
        inodes = system.f_favail if system.f_files else None
        yield judge_disk(names, system.f_bavail * system.f_frsize, need, inodes, closed)


def _weights_on_disk(specs: Iterable[ModelSpec]) -> int:
    return sum(resources.weights_on_disk(resources.known_n_params(spec) or 0) for spec in specs)


def judge_disk(names: str, free: float, need: float, inodes: int | None, closed: list[str]) -> Finding:
    """Compare free bytes, and inodes unless None, with what a run needs.

    Below four times the need, a later run would fail. ``closed`` lists unwritable folders.
    """
    detail = f"{names}: {gib(free)} free, a run may need {gib(need)}"
    remedy = "Free space there. The largest folders of wor: du -sh .dvc/cache ${WOR_CACHE:-~/.cache/wor}/*"
    if closed:
        return fail("disk", f"{names}: cannot be written: {', '.join(closed)}", f"chmod u+w {' '.join(closed)}")
    if free < need:
        return fail("disk", detail, remedy)
    if inodes is not None and inodes < MIN_FILES:
        return (fail if inodes < MIN_FILES / 10 else warn)("disk", f"{detail}; only {inodes} more files fit", remedy)
    if free < 4 * need:
        return warn("disk", f"{detail}: enough for one run", remedy)
    return ok("disk", detail)
