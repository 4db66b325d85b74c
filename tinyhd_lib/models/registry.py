"""Weights with a name, one row each: our own and the published ones. Facts only, so that nothing here needs torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tinyhd_lib.models.spec import MODEL_SPECS, ModelSpec, name_of_row

if TYPE_CHECKING:
    import pandas as pd

LICENCE_NOTE = "released by the paper's authors without a licence: for your own research, not for redistribution"
TEACHER_NOTE = (
    "HD2S's weights (CC BY-NC 4.0) are offered by its authors on a university OneDrive, linked from "
    "github.com/perceivelab/hd2s: download the file in a browser and give its path"
)


@dataclass(frozen=True)
class Weights:
    """Describe a file of weights that has a name.

    Attributes:
        name: readable: ``M-r4`` (published for DHF1K), ``S-r1-ucf``, ``workbench-m-r4`` (ours).
        file: the file's name without its suffix, which is taken for the name everywhere too.
        row: of `MODEL_SPECS`.
        trained_on: data, and teachers of ours, in a few words.
        parameters: how many the model has.
        git_blob: the id under which git keeps a published file, which pins a file that nobody here has seen; None: ours,
            shipped in ``weights/`` with its model card.
        sha256: of the file, where one was at hand to be hashed.
        figures: the authors' own scores on DHF1K's validation set (frame, then video, then set).
    """

    name: str
    file: str
    row: str
    trained_on: str
    parameters: int
    git_blob: str | None = None
    sha256: str | None = None
    figures: Mapping[str, float] = field(default_factory=dict)

    @property
    def spec(self) -> ModelSpec:
        """The model's row."""
        return MODEL_SPECS[self.row]

    @property
    def url(self) -> str:
        """Where the authors keep a published file."""
        return f"https://github.com/feiyanhu/tinyHD/raw/main/weights/{self.file}.pth"


def _scores(auc_judd: float, auc_borji: float, cc: float, nss: float, sim: float) -> dict[str, float]:
    return {"AUC-Judd": auc_judd, "AUC-Borji": auc_borji, "CC": cc, "NSS": nss, "SIM": sim}


def _published(
    file: str,
    trained_on: str,
    git_blob: str,
    parameters: int,
    sha256: str | None = None,
    figures: Mapping[str, float] | None = None,
) -> Weights:
    return Weights(name_of_row(file), file, file, trained_on, parameters, git_blob, sha256, figures or {})


OWN: dict[str, Weights] = {
    weights.file: weights
    for weights in (
        Weights(
            "workbench-m-r4",
            "workbench_m_r4",
            "d123m_rc4_rc1T",
            "published M-r4, and gaze on 4 videos",
            515_281,
            sha256="080b66a9a8eb7109dfc3509ef6d28d36a2aa20ad7353030c0c3c34ba3f48bd20",
        ),
        Weights(
            "workbench-m-r2",
            "workbench_m_r2",
            "d123m_rc2_rc1T",
            "published M-r4, and gaze on 4 videos",
            1_366_979,
            sha256="175e4e88738b62ad1a9eeee2aadd91c441297b54f88db4b9586bf8c01b884b32",
        ),
    )
}

PUBLISHED: dict[str, Weights] = {
    weights.file: weights
    for weights in (
        _published("d1d2d3_S_lt", "DHF1K", "d1ed80fa95b9baaeac3ed2bc4c3b15ac525221ba", 3_940_981),
        _published(
            "d123s_rc2_rc1T",
            "DHF1K",
            "3b8e363d241e32f971c4c5bdd9117d578dd4e4bc",
            1_370_291,
            figures=_scores(0.9052, 0.8330, 0.4805, 2.7317, 0.3684),
        ),
        _published(
            "d123s_rc4_rc1T",
            "DHF1K",
            "88653d3e46fbdf1ad3e4224299bb3c62bd48db9b",
            513_121,
            "939f818117dda22faa1232127f479c107e7932398c2b1901a963c6fe93b3413c",
            _scores(0.9018, 0.8318, 0.4667, 2.6329, 0.3569),
        ),
        _published("d1d2d3_M_lt", "DHF1K", "6e77140078bdff6fb1828174a4051c2c35d92e97", 3_922_405),
        _published(
            "d123m_rc2_rc1T",
            "DHF1K",
            "272f30ebc7e7e667105b5147aa1ebb57827451f6",
            1_366_979,
            figures=_scores(0.9021, 0.8307, 0.4718, 2.6726, 0.3630),
        ),
        _published(
            "d123m_rc4_rc1T",
            "DHF1K",
            "e87c128c9f2116017e940b9bff3a7633f7add22b",
            515_281,
            "53e8a306d3e260f6c236e99694bec5852ee208b21d816d93a2918c1828771958",
            _scores(0.8999, 0.8333, 0.4564, 2.5581, 0.3478),
        ),
        _published("ucf_d123s", "UCF-Sports", "2f87a75612d95e100cc24f842629371261f69b03", 3_940_981),
        _published("ucf_d123m", "UCF-Sports", "45a2e28bcfb546aa4825485ca37bb5836b01729a", 3_922_405),
    )
}

DEFAULT_WEIGHTS = "workbench-m-r4"


def find_weights(name: str) -> Weights | None:
    """Return the weights of a name, readable or the file's; None if there are none.

    >>> find_weights("M-r4") is find_weights("d123m_rc4_rc1T")
    True
    """
    table = OWN | PUBLISHED
    return table.get(name) or next((weights for weights in table.values() if weights.name == name), None)


def list_models() -> list[str]:
    """Return the names of all weights, ours first.

    >>> list_models()[:3]
    ['workbench-m-r4', 'workbench-m-r2', 'S-r1']
    """
    return [weights.name for weights in (OWN | PUBLISHED).values()]


def weights_table() -> "pd.DataFrame":
    """Return all weights with their figures as text, a row each, ours first."""
    import pandas as pd

    rows = [
        {
            "name": weights.name,
            "file": weights.file,
            "model": weights.spec.label,
            "parameters": f"{weights.parameters:,}",
            "trained on": weights.trained_on,
            "NSS": f"{weights.figures['NSS']:.4f}" if weights.figures else "-",
            "CC": f"{weights.figures['CC']:.4f}" if weights.figures else "-",
            "SHA-256 known": "yes" if weights.sha256 else "no",
        }
        for weights in (OWN | PUBLISHED).values()
    ]
    return pd.DataFrame(rows)
