"""The layouts in which condensed sets are published: the one list of them. Standard library only."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

Space: TypeAlias = Literal["normalised", "unit", "bytes", "whitened", "unknown"]
"""Of pixels: (x - mean) / std with x in [0, 1]; x itself; 0 to 255; ZCA-whitened; not to be told."""


@dataclass(frozen=True)
class Layout:
    """How one family of code saves its result.

    Attributes:
        letter: short name, for reports.
        name, files: what it is and how its files are called.
        made_by: the code that saves it so.
        space: of its pixels, unless their values say otherwise.
        refusal: None if it is read; else why not and what to do, for the error.
    """

    letter: str
    name: str
    files: str
    made_by: str
    space: Space = "unknown"
    refusal: str | None = None


_SAVE_AGAIN = (
    "In a Python that you trust it in (loading a pickle runs its code): import pickle, torch; "
    'images, labels = pickle.load(open("NAME.pkl", "rb"))[:2]; '
    'torch.save([images.cpu(), labels.cpu()], "data.pt")'
)
_SAVE_FLAX_AGAIN = (
    "Where flax is installed: import flax.serialization, numpy; "
    'state = flax.serialization.msgpack_restore(open("NAME", "rb").read()); '
    'proto = state.get("ema_average") or state["params"]; '
    'numpy.savez("set.npz", image=proto["x_proto"], label=proto["y_proto"])'
)

OWN = Layout(
    "own",
    "an artifact of this service",
    "condensed.safetensors, condensed.npz, condensed.pt, condensed-png.zip",
    "condensery",
    space="normalised",
)
RES = Layout(
    "A",
    "experiments in a dict",
    "res_METHOD_DATA_MODEL_IPCipc.pt",
    "DatasetCondensation (DC, DSA, DM), CAFE, DataDAM's code, IDM, FreD, GLaD",
    space="normalised",
)
PAIR = Layout(
    "B",
    "a pair of files",
    "images_best.pt and labels_best.pt; with lr_best.pt: learned labels",
    "MTT, FTD, GLaD, DATM, PAD, DD-Ranking",
    space="normalised",
)
LIST = Layout(
    "C",
    "a pair in a list",
    "data.pt, data_best.pt, data_ITER.pt",
    "IDC, DREAM, MDC, DANCE, TGDD, DSDM, NCFM",
    space="unit",
)
FLAT = Layout("D", "a flat pair in a dict", "syn_data_DATA_ipc_IPC.pt", "DataDAM's hub", space="normalised")
PICKLE = Layout(
    "E",
    "a bare pickle",
    "acc_ACCURACY.pkl",
    "IDM, BACON",
    refusal=f"it can run any code when it is loaded, so it never is. {_SAVE_AGAIN}",
)
ARRAYS = Layout(
    "F",
    "plain arrays",
    "npz with images and labels, or image and label; a tuple in a .pt",
    "KIP, RFAD, FRePo",
)
FLAX = Layout(
    "G",
    "a flax checkpoint",
    "checkpoint_STEP in best_ckpt, proto or saved_ckpt",
    "FRePo, RCIG",
    refusal=f"it is not read. {_SAVE_FLAX_AGAIN}",
)
FOLDERS = Layout(
    "H",
    "class folders of image files",
    "newCCC/classCCC_idIII.jpg, CCCCC/classCCCCC_idIIIII.jpg, NAME/…",
    "SRe2L, CDA, SCDD, DWA, EDC, G-VBSM, RDED",
    space="bytes",
)
SOFT_BATCHES = Layout(
    "I",
    "soft labels of augmented views",
    "epoch_E/batch_B.tar",
    "FKD, SRe2L and its successors",
    refusal="it holds a teacher's labels and no images. Upload the images alone",
)
DECODERS = Layout(
    "J",
    "parts of a decoder",
    "saet_…, scm_…, freenet_…; a whole module",
    "SPEED, AutoPalette",
    refusal="its images exist only after the method's own network has run. Save the images that it gives",
)
STEPS = Layout(
    "K",
    "steps with a learning rate each",
    "results.pth",
    "dataset-distillation",
    refusal="it is no plain set: it is trained on in a fixed order of steps, each with a learning rate",
)
TENSOR = Layout(
    "L", "a tensor alone", "cifar100.pt, images.pt", "the challenge of ECCV 2024", space="normalised"
)
PARQUET = Layout(
    "M",
    "Parquet",
    "data/train-*.parquet",
    "copies on a hub of the sets of SRe2L and its successors",
    refusal="it is not read. Save its images as class folders in a zip",
)

LAYOUTS = {
    one.letter: one
    for one in (
        OWN,
        RES,
        PAIR,
        LIST,
        FLAT,
        PICKLE,
        ARRAYS,
        FLAX,
        FOLDERS,
        SOFT_BATCHES,
        DECODERS,
        STEPS,
        TENSOR,
        PARQUET,
    )
}
