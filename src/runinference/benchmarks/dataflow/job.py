"""A job of Dataflow: what it is, what it says, what it has used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runinference.benchmarks.dataflow.clients import GoogleClients

_SYSTEM = "dataflow/v1b3"
# What is counted for one step, stage or PCollection has one of these in its context.
_PARTS = {"execution_step", "output_user_name", "stage", "step"}
_TENTATIVE = "tentative"


@dataclass(frozen=True)
class Job:
    """A job.

    Attributes:
        id: What the service calls it.
        name: What its owner calls it.
        state: How it is: `RUNNING`, `DONE`, `FAILED`, `CANCELLED`, `DRAINED` …
        streaming: Whether it is a streaming job.
        since_s: Since when it is so, in seconds since 1970; `None` where the service does not tell.
        remarks: What is special about how it is charged.
    """

    id: str
    name: str
    state: str
    streaming: bool
    since_s: float | None
    remarks: Sequence[str] = ()


class Message(NamedTuple):
    """What a job said.

    Attributes:
        time_s: When, in seconds since 1970.
        text: What.
        error: Whether it is an error.
    """

    time_s: float
    text: str
    error: bool


@dataclass(frozen=True)
class JobMetrics:
    """What a job has used and counted.

    Attributes:
        time_s: When this was so, in seconds since 1970; `None` where the service does not tell.
        usage: Metrics of the whole job, such as `TotalVcpuTime`.
        elements: How many elements each PCollection has had.
        mean_bytes: How many bytes one of its elements has on average.
    """

    time_s: float | None = None
    usage: Mapping[str, float] = field(default_factory=dict)
    elements: Mapping[str, float] = field(default_factory=dict)
    mean_bytes: Mapping[str, float] = field(default_factory=dict)


class JobReader:
    """Reads of one job.

    Args:
        project: The project.
        region: The region, such as `us-central1`.
        job_id: The job's id.
        clients: Clients of Google's services.
    """

    def __init__(self, project: str, region: str, job_id: str, clients: GoogleClients) -> None:
        self.project = project
        self.region = region
        self.job_id = job_id
        self.clients = clients
        self._ids = {"project_id": project, "location": region, "job_id": job_id}
        self._name = f"Job {job_id} of project {project} in {region}"

    def job(self, *, details: bool = True) -> Job:
        """What it is, and how it is now.

        Args:
            details: Whether to find out how it is charged, which needs all that there is to know of the job.

        Raises:
            DataError: It cannot be read.
        """
        package = self.clients.dataflow
        view = package.JobView.JOB_VIEW_ALL if details else package.JobView.JOB_VIEW_SUMMARY
        request = package.GetJobRequest(**self._ids, view=view)
        job = self.clients.ask(self._name, self.clients.jobs.get_job, request)
        return Job(
            id=job.id,
            name=job.name,
            state=job.current_state.name.removeprefix("JOB_STATE_"),
            streaming=job.type_ == package.JobType.JOB_TYPE_STREAMING,
            since_s=_seconds(job.current_state_time),
            remarks=tuple(_remarks(package, job.environment)),
        )

    def messages(self) -> list[Message]:
        """All that it said, the oldest first.

        Raises:
            DataError: It cannot be read.
        """
        levels = self.clients.dataflow.JobMessageImportance
        request = self.clients.dataflow.ListJobMessagesRequest(**self._ids, minimum_importance=levels.JOB_MESSAGE_DEBUG)
        found: list[Any] = self.clients.ask(
            f"{self._name}: its messages", lambda **call: list(self.clients.messages.list_job_messages(**call)), request
        )
        messages = [
            Message(seconds, message.message_text, message.message_importance == levels.JOB_MESSAGE_ERROR)
            for message in found
            if (seconds := _seconds(message.time)) is not None
        ]
        return sorted(messages)

    def metrics(self) -> JobMetrics:
        """What it has used and counted.

        Raises:
            DataError: It cannot be read.
        """
        request = self.clients.dataflow.GetJobMetricsRequest(**self._ids)
        answer = self.clients.ask(f"{self._name}: its metrics", self.clients.metrics.get_job_metrics, request)
        usage: dict[str, float] = {}
        elements: dict[str, float] = {}
        mean_bytes: dict[str, float] = {}
        for name, context, value in _scalars(answer.metrics):
            if name == "ElementCount":
                elements[context.get("output_user_name", "")] = value
            elif name == "MeanByteCount":
                mean_bytes[context.get("output_user_name", "")] = value
            elif not _PARTS & context.keys():
                usage[name] = value
        return JobMetrics(_seconds(answer.metric_time), usage, elements, mean_bytes)


def _scalars(metrics: Any) -> Iterator[tuple[str, Mapping[str, str], float]]:
    """The numbers among the metrics of the system; those that are final after those that are not."""
    system = [metric for metric in metrics if metric.name.origin == _SYSTEM]
    for metric in sorted(system, key=lambda metric: metric.name.context.get(_TENTATIVE) != "true"):
        if isinstance(metric.scalar, (int, float)) and not isinstance(metric.scalar, bool):
            yield metric.name.name, dict(metric.name.context), float(metric.scalar)


def _seconds(time: Any) -> float | None:
    return None if time is None else float(time.timestamp())


def _remarks(package: Any, environment: Any) -> Iterator[str]:
    """How a job is charged otherwise than by the price table."""
    if environment.flex_resource_scheduling_goal == package.FlexResourceSchedulingGoal.FLEXRS_COST_OPTIMIZED:
        yield "The job ran with FlexRS, which costs less than this estimate"
    if "enable_prime" in {*environment.service_options, *environment.experiments}:
        yield "The job ran on Dataflow Prime, which charges compute units; this is what it would cost without"
    if environment.use_streaming_engine_resource_based_billing:
        yield "Streaming Engine is charged by compute units in this job; this estimate has its data in place of them"
