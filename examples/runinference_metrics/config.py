"""What is used several times; fill in what concerns Google Cloud before `--mode cloud`."""

PROJECT_ID = None
"""The project that pays and that the bucket belongs to, such as "my-project"."""

REGION = "us-central1"
NUM_WORKERS = 1
JOB_NAME = "runinference-metrics"

BUCKET = "gs://{project}-ml-examples"
"""For temporary files and the weights; `{project}` stands for the project."""

TOKENIZER_NAME = "distilbert-base-uncased-finetuned-sst-2-english"
"""The model on the hub, whose tokenizer and configuration are used in both modes."""

MODEL_STATE_DICT_PATH = f"{BUCKET}/{TOKENIZER_NAME}/model.safetensors"
"""Where workers in the cloud find the weights; copy them there from the hub. Local mode downloads them."""

EXTRA_PACKAGES: list[str] = []
"""Files that are installed on the workers first, such as "dist/runinference-0.1.0-py3-none-any.whl"."""

# With a GPU.
ACCELERATOR = "type:nvidia-tesla-t4;count:1;install-nvidia-driver"
MACHINE_TYPE = "n1-standard-4"
CONTAINER_IMAGE = "{region}-docker.pkg.dev/{project}/runinference/pytorch-gpu:latest"
"""An image with Beam, PyTorch for CUDA and the NVIDIA libraries."""
