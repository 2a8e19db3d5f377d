"""The figures of a run's page, each as a function that returns a matplotlib figure.

    from neuroblend.report import figures

    figures.raster("runs/mine").savefig("raster.pdf")

They are the page's own: what it shows is drawn by the same code. Each takes a run that has ended,
or the path of its folder. Settings of matplotlib are left alone, and no window opens.
"""

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from neuroblend.engine.folder import RunFolder
from neuroblend.errors import InputError, nearest
from neuroblend.report.curves import curves as of_training
from neuroblend.report.decoding.neurons import neurons as of_neurons
from neuroblend.report.decoding.psth import psth as of_conditions
from neuroblend.report.decoding.raster import raster as of_trial
from neuroblend.report.decoding.traces import traces as of_behavior
from neuroblend.report.face import Block, face_of
from neuroblend.report.identity.behavior import behavior_ablation
from neuroblend.report.identity.confusion import confusion_matrices
from neuroblend.report.identity.gains import recall_by_class
from neuroblend.report.identity.map import embedding_map
from neuroblend.report.style import Picture, style
from neuroblend.report.view import View

Run = RunFolder | str | Path


def every(run: Run) -> dict[str, Figure]:
    """Return all figures of a run's page, of an experiment of any kind, by their headings.

    Raises:
        InputError: The run has not ended, or a file of it is damaged; as all functions here do.
    """
    view = _view(run)
    face = face_of(view.results["kind"])
    with style():
        blocks = face.blocks(view.results)
        found = [(face.overview(view, block), *face.pictures(view, block)) for block in blocks]
    return {each.title: each.figure for pictures in found for each in pictures if each is not None}


def forest(run: Run, label: str | None = None) -> Figure:
    """Plot each arm's difference to the baseline with its 95 % interval.

    Args:
        run: A run that has ended.
        label: Which kind of label, of a run of identity; its first where ``None``.

    Raises:
        InputError: There is no such label, or the experiment's page has no such figure.
    """

    def draw(view: View) -> Picture | None:
        return face_of(view.results["kind"]).overview(view, _block(view, label))

    return _drawn(run, draw, None, "its page has no figure of differences to the baseline")


def training(run: Run) -> Figure:
    """Plot training and validation loss (nats/bin) of each arm by epoch, of the first seed."""
    return _drawn(run, of_training)


def raster(run: Run) -> Figure:
    """Plot spikes of all neurons in one test trial, and rates (Hz) of a few."""
    return _drawn(run, of_trial)


def traces(run: Run) -> Figure:
    """Plot decoded and true behavior, in the recording's units, in single test trials."""
    return _drawn(run, of_behavior, missing="all its behavior has one value a trial")


def psth(run: Run) -> Figure:
    """Plot mean rates (Hz) of a few neurons by condition.

    Raises:
        InputError: Trials have no conditions.
    """
    return _drawn(run, of_conditions, missing="its trials have no conditions, so no PSTHs")


def neurons(run: Run) -> Figure:
    """Plot bits/spike of each neuron, of the selected student against the baseline.

    Raises:
        InputError: No spikes were held out.
    """
    return _drawn(run, of_neurons, missing="no spikes were held out, so no bits/spike")


def recall(run: Run, label: str | None = None) -> Figure:
    """Plot the recall of each class with its 95 % interval, of a run of identity.

    Args:
        run: A run that has ended.
        label: Which kind of label; the run's first where ``None``.

    Raises:
        InputError: There is no such label.
    """
    return _drawn(run, lambda view: recall_by_class(view, _block(view, label).key), "identity")


def confusion(run: Run, label: str | None = None) -> Figure:
    """Plot what tested cells of each class are taken for; arguments are those of :func:`recall`."""
    return _drawn(run, lambda view: confusion_matrices(view, _block(view, label).key), "identity")


def embedding(run: Run, label: str | None = None) -> Figure:
    """Plot tested cells on two components of embeddings; arguments are those of :func:`recall`."""
    return _drawn(run, lambda view: embedding_map(view, _block(view, label).key), "identity")


def behavior(run: Run) -> Figure:
    """Plot which behavior a gain comes from, of a run of identity.

    Raises:
        InputError: It had no channel of behavior.
    """
    return _drawn(run, behavior_ablation, "identity", "it had no channel of behavior")


def _view(run: Run) -> View:
    return View(run if isinstance(run, RunFolder) else RunFolder.open(run))


def _block(view: View, label: str | None) -> Block:
    blocks = {block.key: block for block in face_of(view.results["kind"]).blocks(view.results)}
    if label is not None and label not in blocks:
        raise InputError(f"{view.folder.path}: no label '{label}': {nearest(label, blocks)}")
    return next(iter(blocks.values())) if label is None else blocks[label]


def _drawn(
    run: Run,
    draw: Callable[[View], Picture | None],
    kind: str | None = "decoding",
    missing: str = "nothing to draw",
) -> Figure:
    """Return what ``draw`` makes of a run, which must be of a ``kind`` where that is given."""
    view = _view(run)
    found = view.results["kind"]
    if kind is not None and found != kind:
        raise InputError(f"{view.folder.path}: a run of kind {found}, wanted {kind}")
    with style():
        picture = draw(view)
    if picture is None:
        raise InputError(f"{view.folder.path}: {missing}")
    return picture.figure
