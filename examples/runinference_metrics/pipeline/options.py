"""The options that the pipeline runs with, on this machine or on Dataflow."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import config as cfg
from apache_beam.options.pipeline_options import PipelineOptions

SETUP_FILE = Path(__file__).resolve().parents[1] / "setup.py"


def get_pipeline_options(mode: str, device: str, project: str | None) -> PipelineOptions:
    """The options for a mode.

    Args:
        mode: `local` or `cloud`.
        device: `CPU` or `GPU`; a worker of Dataflow gets one.
        project: The project on Google Cloud; local mode needs none.
    """
    if mode == "local":
        # The one that runs pipelines in this process and downloads nothing.
        return PipelineOptions(flags=[], runner="FnApiRunner")
    bucket = cfg.BUCKET.format(project=project)
    options = {
        "runner": "DataflowRunner",
        "project": project,
        "region": cfg.REGION,
        "job_name": f"{cfg.JOB_NAME}-{datetime.now(UTC):%Y%m%d%H%M%S}",
        "num_workers": cfg.NUM_WORKERS,
        "staging_location": f"{bucket}/staging",
        "temp_location": f"{bucket}/temp",
        "setup_file": str(SETUP_FILE),
        "extra_packages": cfg.EXTRA_PACKAGES,
    }
    if device == "GPU":
        options |= {
            "machine_type": cfg.MACHINE_TYPE,
            "sdk_container_image": cfg.CONTAINER_IMAGE.format(region=cfg.REGION, project=project),
            "dataflow_service_options": [f"worker_accelerator={cfg.ACCELERATOR}"],
        }
    return PipelineOptions(flags=[], **options)
