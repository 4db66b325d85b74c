__version__: str

from . import losses as losses
from . import metrics as metrics
from .data.datasets import open_dataset as open_dataset
from .errors import BadInput as BadInput
from .evaluation.folder import evaluate as evaluate
from .export import export_model as export_model
from .models.checkpoints import load_model as load_model
from .models.checkpoints import load_published_state as load_published_state
from .models.checkpoints import load_published_teacher_state as load_published_teacher_state
from .models.checkpoints import save_model as save_model
from .models.spec import MODEL_SPECS as MODEL_SPECS
from .models.spec import ModelSpec as ModelSpec
from .models.student import SaliencyOutput as SaliencyOutput
from .models.student import TinyHD as TinyHD
from .models.student import build_model as build_model
from .models.student import inflate_mobilenet_v2 as inflate_mobilenet_v2
from .models.teacher import build_teacher as build_teacher
from .models.weights import list_models as list_models
from .prediction.inference import predict as predict
from .runtime import open_runtime as open_runtime
from .training.loop import train as train
from .viewer import SaliencyViewer as SaliencyViewer
