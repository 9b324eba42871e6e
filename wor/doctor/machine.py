"""Processor, memory, disk. What is judged by numbers alone is a function of numbers."""

from __future__ import annotations

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
ROOM = 1 * GIB  # beside the weights: with less, groups are small and the engine slow
OTHER = 0.25 * GIB  # beside what stages write of items: tables, figures, logs, the iteration
SCRATCH = 0.2 * GIB  # temporary files, a hub's dataset
FILES = 10_000  # inodes; a run makes some hundreds, and a tenth of this is as good as none
MEASURED = 1.0  # seconds, each kind of product
SIDE = 1024


def load(params: Params) -> Iterator[Finding]:
    yield judge_load(
        os.getloadavg()[0], params.compute.threads or control_groups.available_cores(), control_groups.available_cores()
    )


def judge_load(load: float, threads: int, have: int) -> Finding:
    """Every one of torch's threads waits for the slowest: a single busy neighbour on a core of theirs costs half or more.

    A load average lags by a minute, so half a core's worth, and a tenth of all, pass as past.
    """
    found = f"{load:.1f} processes busy over the last minute, {have} cores"
    if threads + load <= have + 0.5 + have / 10:
        return ok("load", found)
    fewer = max(1, have - round(load))
    remedy = "Let the others finish first" + (f", or: wor run -S compute.threads={fewer}" if fewer < threads else "")
    return warn("load", f"{found}: a run with {threads} threads is several times slower now", remedy)


def cpu(params: Params, seconds: float = MEASURED) -> Iterator[Finding]:
    threads = params.compute.threads or control_groups.available_cores()
    yield judge_threads(threads, control_groups.available_cores(), control_groups.cpu_quota())
    import torch

    torch.set_num_threads(threads)
    used = [name for name in ("mkl", "mkldnn") if getattr(torch.backends, name).is_available()]
    libraries = " and ".join({"mkl": "MKL", "mkldnn": "oneDNN"}[name] for name in used) or "neither MKL nor oneDNN"
    capability = torch.backends.cpu.get_cpu_capability()
    yield ok("torch", f"{torch.__version__} with {libraries}, {capability}; {environment.blas_name()}")
    single, half = (speed(dtype, seconds) for dtype in (torch.float32, torch.bfloat16))
    yield judge_speed(single, half, params.compute.dtype)


def judge_threads(threads: int, have: int, quota: float | None) -> Finding:
    found = f"{environment.cpu_name()}: {have} cores, {threads} threads"
    if quota is not None and quota < threads:
        found += f"; the control group allows {quota:g} cores' time, and threads that are put to sleep hold up the others"
        return warn("CPU", found, f"wor run -S compute.threads={max(1, int(quota))}")
    if threads > have:
        return warn("CPU", f"{found}: they take turns", "wor run -S compute.threads=0")
    return ok("CPU", found)


def speed(dtype: object, seconds: float) -> float:
    """GFLOP/s of square matrix products: the median of as many as fit into ``seconds``, three at least."""
    import torch

    one, other = (torch.rand(SIDE, SIDE).to(dtype) for _ in range(2))
    one @ other  # the first sets things up
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        one @ other
        times.append(time.perf_counter() - start)
    return 2 * SIDE**3 / statistics.median(times) / 1e9


def judge_speed(single: float, half: float, dtype: str) -> Finding:
    """``single``: float32, ``half``: bfloat16, in GFLOP/s; ``dtype``: compute.dtype."""
    found = f"measured now: float32 {single:.0f}, bfloat16 {half:.0f} GFLOP/s in products of {SIDE} x {SIDE}"
    if dtype == "bfloat16" and half < single:
        return warn("speed", f"{found}: compute.dtype asks for the slower", "wor run -S compute.dtype=float32")
    return ok("speed", found)


def gpu(params: Params) -> Iterator[Finding]:
    import torch

    asked = params.compute.device
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own words on a driver that it can't use
        cuda = torch.cuda.is_available()
    if cuda:
        for index in range(torch.cuda.device_count()):
            about = torch.cuda.get_device_properties(index)
            free, total = torch.cuda.mem_get_info(index)
            kind = "bfloat16 in hardware" if torch.cuda.is_bf16_supported(including_emulation=False) else "no bfloat16"
            found = f"{about.name}, {gib(free)} of {gib(total)} free, {kind}"
            yield judge_gpu_memory(free, _weights(params), found)
    elif torch.backends.mps.is_available():
        yield ok("GPU", "Apple's, by way of MPS")
    else:
        card = bool(shutil.which("nvidia-smi")) or any(Path("/dev").glob("nvidia[0-9]*"))
        yield without_gpu(asked, torch.version.cuda, card)


def judge_gpu_memory(free: int, need: int, found: str) -> Finding:
    if free < need + ROOM:
        remedy = "Free the GPU (nvidia-smi names who uses it), or: wor run -S compute.device=cpu"
        return fail("GPU", f"{found}; the model, its twin and room to work need {gib(need + ROOM)}", remedy)
    return ok("GPU", found)


def without_gpu(asked: str, built_for: str | None, card: bool) -> Finding:
    """None that torch can use. ``built_for``: the CUDA version of this torch; ``card``: the machine has one of NVIDIA's."""
    if asked in ("cuda", "mps"):
        return fail("GPU", f"compute.device is {asked}, and torch finds none", "wor run -S compute.device=cpu")
    if card and built_for:
        found = f"there is one, and torch (built for CUDA {built_for}) cannot use it"
        return warn("GPU", found, f"Install a driver for CUDA {built_for}, and look at CUDA_VISIBLE_DEVICES: nvidia-smi")
    if card:
        return warn("GPU", "there is one, and this torch is built for the CPU only", "Install a torch that is built for CUDA")
    return ok("GPU", "none, and none is needed" + (f" (torch is built for CUDA {built_for}: unused)" if built_for else ""))


def memory(params: Params) -> Iterator[Finding]:
    import psutil

    need = resources.LIBRARIES + _weights(params)
    yield judge_memory(psutil.virtual_memory().available, control_groups.memory_left(), need, params.compute.memory_gib)
    if unknown := [name for name in params.models if resources.n_params(params.model_specs[name]) is None]:
        yield ok("memory", f"{', '.join(unknown)}: not counted in, its size is not known before it is here")


def _weights(params: Params) -> int:
    """The largest model's bytes and its twin's: stage nulls has both."""
    sizes = [resources.n_params(params.model_specs[name]) or 0 for name in params.models]
    return resources.weights_in_memory(max(sizes), params.compute.dtype, twins=1)


def judge_memory(host: int, group: int | None, need: int, memory_gib: float) -> Finding:
    """``host``: bytes free on the machine, ``group``: until the control group's limit, ``need``: weights and libraries."""
    free = host if group is None else min(host, group)
    found = f"{gib(free)} free" + (" within the control group's limit" if free == group else "")
    needs = f"the largest model, its twin and the libraries need {gib(need)}"
    if free < need:
        return fail("memory", f"{found}; {needs}", "Free memory, or take a smaller model")
    if need + memory_gib * GIB > free:
        remedy = f"wor run -S compute.memory_gib={max(0.1, (free - need) / 2 / GIB):.1f}"
        return warn("memory", f"{found}; {needs}, and compute.memory_gib is {memory_gib:g} more", remedy)
    if free - need < ROOM:
        return warn("memory", f"{found}; {needs}: little is left to work with, and it will be slow", "Close other programs")
    return ok("memory", f"{found}; {needs}")


def disk(params: Params) -> Iterator[Finding]:
    """A line a file system: what it has against what a run may put there. A model of unknown size counts nothing."""
    outputs = OTHER + len(params.models) * resources.output_bytes(params, resources.observed_items(params))
    again = len(params.models) * resources.output_bytes(
        params, sum(params.spec(name).n for name in params.datasets)
    )  # in the iteration
    places = [("repository", paths.project(), outputs + again), ("temporary files", Path(tempfile.gettempdir()), SCRATCH)]
    if Path(".dvc").is_dir():
        places.append(("DVC's cache", commands.dvc_cache(Path.cwd()), outputs))
    places.append(("converted weights", paths.cache(), _files(data.models_to_convert(params)) + SCRATCH))
    if away := [spec for spec in hub.hub_specs(params) if hub.cached_folder(spec) is None]:
        places.append(("hub's cache", cache_folder(), _files(spec for spec in away if isinstance(spec, HubModel)) + SCRATCH))
    systems: dict[int, list[tuple[str, Path, float]]] = {}
    for name, folder, need in places:
        there = next(place for place in (folder, *folder.parents) if place.exists())
        systems.setdefault(there.stat().st_dev, []).append((name, there, need))
    for group in systems.values():
        names, need = ", ".join(name for name, _, _ in group), sum(need for _, _, need in group)
        about = os.statvfs(group[0][1])
        closed = [short_path(there) for _, there, _ in group if about.f_flag & os.ST_RDONLY or not os.access(there, os.W_OK)]
        inodes = about.f_favail if about.f_files else None
        yield judge_disk(names, about.f_bavail * about.f_frsize, need, inodes, closed)


def _files(specs: Iterable[ModelSpec]) -> int:
    return sum(resources.weights_on_disk(resources.n_params(spec) or 0) for spec in specs)


def judge_disk(names: str, free: float, need: float, inodes: int | None, closed: list[str]) -> Finding:
    """Bytes and inodes free (None: a file system without a number of them), against bytes that a run needs.

    Below the need a run would end in the middle. Below four times that, one of the next few would. ``closed``: folders
    that can't be written.
    """
    found = f"{names}: {gib(free)} free, a run may need {gib(need)}"
    remedy = "Free space there; the largest of ours: du -sh .dvc/cache ${WOR_CACHE:-~/.cache/wor}/*"
    if closed:
        return fail("disk", f"{names}: cannot be written: {', '.join(closed)}", f"chmod u+w {' '.join(closed)}")
    if free < need:
        return fail("disk", found, remedy)
    if inodes is not None and inodes < FILES:
        return (fail if inodes < FILES / 10 else warn)("disk", f"{found}; room for {inodes} more files only", remedy)
    if free < 4 * need:
        return warn("disk", f"{found}: enough for this one", remedy)
    return ok("disk", found)
