"""As much of Cloud Monitoring's gRPC API as its client needs to read time series."""

import re
from concurrent.futures import ThreadPoolExecutor

import grpc
from google.cloud import monitoring_v3
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

_METHOD = "ListTimeSeries"
_SERVICE = "google.monitoring.v3.MetricService"


class MonitoringServer:
    """Time series.

    Attributes:
        series: As `(project, metric type, labels of the metric, labels of the resource, points)`; a point is
            `(start_s, end_s, value)`.
        late: How many requests are answered as if nothing was there yet.
        failures: What the next requests are answered with: a status, or `None` for the ordinary answer.
        requests: What was asked for.
    """

    def __init__(self):
        self.series = []
        self.late = 0
        self.failures = []
        self.requests = []
        handler = grpc.unary_unary_rpc_method_handler(
            self._answer,
            request_deserializer=monitoring_v3.ListTimeSeriesRequest.deserialize,
            response_serializer=monitoring_v3.ListTimeSeriesResponse.serialize,
        )
        self._server = grpc.server(ThreadPoolExecutor(2))
        self._server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: handler})])
        self._address = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def client(self):
        """Google's client, with a connection to this server."""
        channel = grpc.insecure_channel(self._address)
        return monitoring_v3.MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel))

    def close(self):
        self._server.stop(None).wait()

    def _answer(self, request, context):
        self.requests.append(request)
        if self.failures and (status := self.failures.pop(0)) is not None:
            context.abort(status, "not now")
        if self.late:
            self.late -= 1
            return monitoring_v3.ListTimeSeriesResponse()
        found = [each for each in self.series if _fits(request, *each[:4])]
        start = int(request.page_token or 0)  # Pages of one time series.
        more = str(start + 1) if start + 1 < len(found) else ""
        series = [_series(request, *each[1:]) for each in found[start : start + 1]]
        return monitoring_v3.ListTimeSeriesResponse(time_series=series, next_page_token=more)


def _fits(request, project, kind, labels, resource):
    wanted = dict(re.findall(r'([\w.]+)="([^"]*)"', request.filter))
    have = {"metric.type": kind}
    have |= {f"metric.labels.{name}": value for name, value in labels.items()}
    have |= {f"resource.labels.{name}": value for name, value in resource.items()}
    return request.name == f"projects/{project}" and wanted.items() <= have.items()


def _series(request, kind, labels, resource, points):
    first, last = (time.timestamp() for time in (request.interval.start_time, request.interval.end_time))
    return monitoring_v3.TimeSeries(
        metric={"type": kind, "labels": labels},
        resource={"type": "dataflow_job", "labels": resource},
        points=[  # The newest comes first.
            {
                "interval": {"start_time": _stamp(start_s), "end_time": _stamp(end_s)},
                "value": {"int64_value" if isinstance(value, int) else "double_value": value},
            }
            for start_s, end_s, value in sorted(points, reverse=True)
            if first <= end_s <= last
        ],
    )


def _stamp(seconds):
    return {"seconds": int(seconds), "nanos": round(seconds % 1 * 1e9)}
