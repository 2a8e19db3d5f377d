"""Independent fits side by side, in worker processes of one thread each.

Two fits on a core each end sooner than one after the other on both, and one thread makes their
numbers the same wherever they run.
"""

import contextlib
import gc
import multiprocessing
import multiprocessing.connection
import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from queue import Empty
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from neuroblend.config import TrainingSettings
from neuroblend.engine.arm import Fit
from neuroblend.engine.experiment import Progress
from neuroblend.engine.folder import RunFolder
from neuroblend.errors import InputError
from neuroblend.training.devices import as_device

Work = Callable[[Path, Fit, Progress], None]
"""``work(folder, fit, progress)`` runs one fit; it is a function of a module, for workers."""

Tell = Callable[[Fit, float], None]
"""``tell(fit, fraction done)``, which is 1 when a fit has ended and not before."""
ALMOST = 0.999

ONE_THREAD = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "MKL_NUM_THREADS": "1"}


def default_jobs(accelerator: str) -> int:
    """Return one worker a core (eight at most); one where a GPU does the work."""
    if as_device(accelerator).type != "cpu":
        return 1
    with contextlib.suppress(AttributeError):
        return min(8, len(os.sched_getaffinity(0)))
    return min(8, os.cpu_count() or 1)


def run_fits(folder: RunFolder, jobs: int, tell: Tell, work: Work) -> None:
    """Train what a run still lacks; students begin when their teacher has ended.

    With one job, everything runs in this process; where several devices train one model, one fit
    after the other takes them all, with a process for each.

    Raises:
        InputError: A training fails. Those that have ended stay.
    """
    todo = [fit for fit in folder.fits() if not folder.is_done(fit)]
    training: TrainingSettings = folder.config().training
    if training.n_devices > 1:
        for fit in todo:
            _run_together(folder.path, fit, training, tell, work)
    elif jobs == 1:
        with one_thread():
            for fit in todo:
                _run_here(folder.path, fit, tell, work)
    elif todo:
        _run_in_pool(folder, todo, min(jobs, len(todo)), tell, work)


def _run_here(path: Path, fit: Fit, tell: Tell, work: Work) -> None:
    work(path, fit, lambda done, most: tell(fit, min(done / most, ALMOST)))
    tell(fit, 1)


def _run_together(path: Path, fit: Fit, training: TrainingSettings, tell: Tell, work: Work) -> None:
    """Let a process for each device train one model."""
    context = multiprocessing.get_context("spawn")
    n_devices = training.n_devices
    news: Any = context.Queue()
    shared = ONE_THREAD | {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port())}
    shared |= {"WORLD_SIZE": str(n_devices), "NODE_RANK": "0"}
    shared |= {"TORCH_CPP_LOG_LEVEL": "ERROR"}  # no advice where all weights do take part
    workers = []
    try:
        for rank in range(n_devices):
            with _environment(shared | {"LOCAL_RANK": str(rank)}):
                worker = context.Process(target=_work_together, args=(path, fit, news, work))
                worker.start()
                workers.append(worker)
        while any(worker.is_alive() for worker in workers) or not news.empty():
            with contextlib.suppress(Empty):
                done = news.get(timeout=0.2)
                if isinstance(done, str):
                    raise InputError(f"{fit.label}: {done}")
                tell(fit, min(done, ALMOST))
            if any(worker.exitcode for worker in workers) and news.empty():
                raise InputError(
                    f"{fit.label}: a process was ended from outside, as happens where memory runs "
                    "out; the same command goes on"
                )
    finally:
        for worker in workers:
            worker.kill()  # all before any is waited for: they wait for each other
        for worker in workers:
            worker.join()
    tell(fit, 1)


def _work_together(path: Path, fit: Fit, news: Any, work: Work) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is the parent's to act on
    _start_worker(news)
    failed = False
    try:
        work(path, fit, lambda done, most: news.put(done / most))
    except Exception as error:  # whatever a user's network raises, on whichever device
        lines = str(error).splitlines() or [type(error).__name__]
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        news.put(kind + lines[0])
        failed = True
    news.close()
    news.join_thread()
    if failed:
        os._exit(1)  # without waiting for the others, which wait for this one


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _run_in_pool(folder: RunFolder, todo: list[Fit], jobs: int, tell: Tell, work: Work) -> None:
    context = multiprocessing.get_context("spawn")
    with _environment(ONE_THREAD):
        news: Any = context.Queue()
        pool = ProcessPoolExecutor(jobs, context, _start_worker, (news,))
        waiting = list(todo)
        running: dict[Future[None], Fit] = {}
        try:
            while waiting or running:
                for fit in [fit for fit in waiting if _is_ready(folder, fit, todo)]:
                    if len(running) < jobs:
                        waiting.remove(fit)
                        running[pool.submit(_work, folder.path, fit, work)] = fit
                ended, _ = wait(running, timeout=0.2, return_when=FIRST_COMPLETED)
                with contextlib.suppress(Empty):
                    while True:
                        fit, done = news.get_nowait()
                        tell(fit, min(done, ALMOST))
                for future in ended:
                    fit = running.pop(future)
                    future.result()
                    tell(fit, 1)
        except BrokenProcessPool:
            raise InputError(
                "a worker process was ended from outside, as happens where memory runs out; the "
                "same command goes on, with --jobs 1 if need be"
            ) from None
        except BaseException:
            for process in list((pool._processes or {}).values()):
                process.kill()  # which no handler can swallow; they go on from their last state
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _is_ready(folder: RunFolder, fit: Fit, todo: list[Fit]) -> bool:
    if fit.arm.teacher is None:
        return True
    return all(
        folder.is_done(other)
        for other in todo
        if other.arm.name == fit.arm.teacher and (other.seed, other.fold) == (fit.seed, fit.fold)
    )


_news: Any = None  # a worker's line to the process that started it


def _start_worker(news: Any) -> None:
    global _news  # noqa: PLW0603
    _news = news
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End a worker whose run was killed, so that it does not write beside the next one."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _work(path: Path, fit: Fit, work: Work) -> None:
    work(path, fit, lambda done, most: _news.put((fit, done / most)))
    gc.collect()  # a trainer and its model hold each other; without this a worker grows


@contextlib.contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Set environment variables for processes that are started meanwhile."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Let PyTorch and linear algebra run on one thread, so that numbers are those of a worker."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
