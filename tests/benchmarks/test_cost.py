"""What machines and jobs cost."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from runinference import ConfigurationError
from runinference.benchmarks.cost import default_machine_type, format_money, job_cost, load_prices, local_cost
from runinference.benchmarks.cost.price_file import shipped_text
from runinference.errors import DataError

pytestmark = pytest.mark.core

HOUR_S = 3600.0

# What two cores with 3.75 GB each, 60 GB of disk and 12 GB of SSD have used after an hour.
USAGE = {
    "TotalVcpuTime": 2 * HOUR_S,
    "TotalMemoryUsage": 7.5 * 1024 * HOUR_S,
    "TotalPdUsage": 60 * HOUR_S,
    "TotalSsdUsage": 12 * HOUR_S,
    "TotalShuffleDataProcessed": 4.0,
    "BillableShuffleDataProcessed": 1.0,
    "TotalStreamingDataProcessed": 5.0,
}


@pytest.fixture
def prices():
    return load_prices()


@pytest.fixture
def table():
    """A price table as users write it."""
    return json.loads(shipped_text())


@pytest.fixture
def load(tmp_path):
    def load(table):
        file = tmp_path / "prices.json"
        file.write_text(table if isinstance(table, str) else json.dumps(table))
        return load_prices(file)

    return load


def line(cost, resource):
    (found,) = [each for each in cost.lines if each.resource == resource]
    return found


class TestMachine:
    def test_cores_and_memory_are_charged_for_the_time(self):
        assert local_cost(HOUR_S, "n1-standard-2").total == pytest.approx(2 * 0.056 + 7.5 * 0.003557)
        assert local_cost(HOUR_S / 60, "n1-standard-2").total == pytest.approx((2 * 0.056 + 7.5 * 0.003557) / 60)
        assert local_cost(0, "n1-standard-2").total == 0

    def test_a_gpu_is_charged_too(self):
        without = local_cost(HOUR_S, "n1-standard-4").total
        assert local_cost(HOUR_S, "n1-standard-4", gpu="T4").total == pytest.approx(without + 0.42)
        assert local_cost(HOUR_S, "n1-standard-4", gpu="T4", gpus=4).total == pytest.approx(without + 4 * 0.42)

    def test_gpus_that_are_built_in_are_charged_unasked_and_once(self):
        built_in = local_cost(HOUR_S, "g2-standard-24")
        assert line(built_in, "GPU L4").usage == 2
        assert local_cost(HOUR_S, "g2-standard-24", gpu="NVIDIA L4").total == built_in.total

    @pytest.mark.parametrize(("gpu", "gpus"), [("T4", None), ("L4", 2), (None, 3)])
    def test_other_gpus_than_the_built_in_are_an_error(self, gpu, gpus):
        with pytest.raises(ConfigurationError, match=r"g2-standard-4 has 1 × L4 built in, not \d × \w\d"):
            local_cost(HOUR_S, "g2-standard-4", gpu=gpu, gpus=gpus)

    @pytest.mark.parametrize("run_s", [-1, float("nan"), float("inf")])
    def test_a_time_that_is_none_is_an_error(self, run_s):
        with pytest.raises(ConfigurationError, match="expected seconds, 0 or more"):
            local_cost(run_s, "n1-standard-1")

    @pytest.mark.parametrize(("gpu", "gpus", "problem"), [("T4", 0, "expected 1 or more"), (None, 2, "say which GPU")])
    def test_a_number_of_gpus_that_cannot_be_is_an_error(self, gpu, gpus, problem):
        with pytest.raises(ConfigurationError, match=problem):
            local_cost(HOUR_S, "n1-standard-1", gpu=gpu, gpus=gpus)

    def test_an_unknown_machine_type_names_the_nearest(self):
        with pytest.raises(ConfigurationError, match=r"no machine type 'n1-standart-4'.*Did you mean 'n1-standard-4'"):
            local_cost(HOUR_S, "n1-standart-4")

    @pytest.mark.parametrize(
        ("cores", "expected"),
        [
            (1, "n1-standard-1"),
            (2, "n1-standard-2"),
            (3, "n1-standard-4"),
            (17, "n1-standard-32"),
            (96, "n1-standard-96"),
            (97, "n2-standard-128"),
            (200, "n2d-standard-224"),
        ],
    )
    def test_the_machine_type_of_a_machine_is_the_next_larger_one(self, cores, expected):
        assert default_machine_type(cores) == expected

    def test_a_machine_larger_than_all_is_an_error(self):
        with pytest.raises(ConfigurationError, match="No machine type of the price table has 1000 cores"):
            default_machine_type(1000)


class TestGpuNames:
    @pytest.mark.parametrize(
        ("name", "expected"),
        [
            ("T4", "T4"),
            ("t4", "T4"),
            ("nvidia-tesla-t4", "T4"),
            ("Tesla T4", "T4"),
            ("NVIDIA L4", "L4"),
            ("nvidia-tesla-a100", "A100-40GB"),
            ("A100_40GB", "A100-40GB"),
            ("NVIDIA A100-SXM4-40GB", "A100-40GB"),
            ("NVIDIA A100 80GB PCIe", "A100-80GB"),
            ("nvidia-a100-80gb", "A100-80GB"),
            ("Tesla V100-SXM2-16GB", "V100"),
        ],
    )
    def test_are_those_of_google_of_the_driver_and_of_people(self, prices, name, expected):
        assert prices.gpu(name).name == expected

    @pytest.mark.parametrize(
        ("name", "advice"),
        [
            ("a100", "Did you mean 'A100-40GB' or 'A100-80GB'"),
            ("NVIDIA L40S", "There are T4, L4"),
            ("H100", r"--prices FILE\.json"),
        ],
    )
    def test_one_without_a_price_is_an_error_with_those_that_have_one(self, prices, name, advice):
        with pytest.raises(ConfigurationError, match=f"There is no price for a GPU '{name}'.*{advice}"):
            prices.gpu(name)


class TestJob:
    def test_each_resource_is_charged_by_what_the_job_used(self):
        cost = job_cost(USAGE)
        assert {each.resource: each.cost for each in cost.lines} == {
            "vCPU": pytest.approx(2 * 0.056),
            "memory": pytest.approx(7.5 * 0.003557),
            "disk": pytest.approx(60 * 0.000054),
            "SSD disk": pytest.approx(12 * 0.000298),
            "shuffle": pytest.approx(1 * 0.011),
        }
        assert cost.total == pytest.approx(sum(each.cost for each in cost.lines))
        assert cost.left_out == []

    def test_a_worker_costs_what_the_same_machine_costs_here(self):
        # The units of time and memory are those of the service.
        workers = {name: USAGE[name] for name in ("TotalVcpuTime", "TotalMemoryUsage")}
        assert job_cost(workers).total == pytest.approx(local_cost(HOUR_S, "n1-standard-2").total)

    def test_a_streaming_job_has_its_own_prices_and_no_shuffle(self):
        cost = job_cost(USAGE, streaming=True)
        assert line(cost, "vCPU").cost == pytest.approx(2 * 0.069)
        assert line(cost, "memory").cost == pytest.approx(7.5 * 0.003557)
        assert line(cost, "streaming data").cost == pytest.approx(5 * 0.018)
        assert [each.resource for each in cost.lines if "shuffle" in each.resource] == []

    def test_gpu_time_is_charged(self):
        cost = job_cost({**USAGE, "TotalGpuTime": HOUR_S}, gpu="nvidia-tesla-t4")
        assert cost.total == pytest.approx(job_cost(USAGE).total + 0.42)

    def test_gpus_that_were_used_but_not_named_leave_no_total(self):
        cost = job_cost({**USAGE, "TotalGpuTime": HOUR_S})
        assert cost.total is None
        assert cost.left_out == ["GPU: used, but it is not known of which type; name it, such as gpu='T4'"]

    def test_a_gpu_whose_time_is_not_reported_leaves_no_total(self):
        assert job_cost(USAGE, gpu="T4").total is None

    def test_a_gpu_that_was_not_used_costs_nothing_and_says_so(self):
        cost = job_cost({**USAGE, "TotalGpuTime": 0}, gpu="T4")
        assert cost.total == pytest.approx(job_cost(USAGE).total)
        assert "none was used" in line(cost, "GPU T4").note

    @pytest.mark.parametrize("main", ["TotalVcpuTime", "TotalMemoryUsage"])
    def test_without_a_main_resource_there_is_no_total(self, main):
        assert job_cost({name: value for name, value in USAGE.items() if name != main}).total is None

    def test_what_is_not_reported_is_not_zero(self):
        cost = job_cost({"TotalVcpuTime": 1.0, "TotalMemoryUsage": 1.0})
        assert cost.total > 0
        assert cost.left_out == ["disk: not reported", "SSD disk: not reported", "shuffle: not reported"]
        assert "? GB h" in cost.to_text()

    def test_shuffle_that_is_not_told_as_charged_is_taken_in_full(self):
        cost = job_cost({**USAGE, "BillableShuffleDataProcessed": None})
        assert line(cost, "shuffle").cost == pytest.approx(4 * 0.011)
        assert line(cost, "shuffle").note == "all that was shuffled; what is charged is less"

    def test_a_million_elements(self):
        cost = job_cost(USAGE)
        assert cost.per_million(50_000) == pytest.approx(cost.total * 20)
        assert cost.per_million(0) is None
        assert cost.per_million(None) is None
        assert job_cost({}).per_million(1) is None

    def test_the_text_has_every_line_with_its_money(self):
        text = job_cost({**USAGE, "TotalGpuTime": 36.0}, gpu="T4", remarks=["It ran with FlexRS"]).to_text()
        assert text.splitlines() == [
            "vCPU        2 vCPU h     × 0.056     0.112 USD",
            "memory      7.5 GB h  × 0.003557   0.02668 USD",
            "disk         60 GB h  × 0.000054   0.00324 USD",
            "SSD disk     12 GB h  × 0.000298  0.003576 USD",
            "shuffle         1 GB     × 0.011     0.011 USD",
            "GPU T4    0.01 GPU h      × 0.42    0.0042 USD",
            "total                               0.1607 USD  list prices of us-central1, 2026-11-21",
            "It ran with FlexRS",
        ]


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        (0, "0.00"),
        (0.0004, "0.0004"),
        (0.00041267, "0.0004127"),
        (0.4, "0.40"),
        (12.3456, "12.35"),
        (1234.5, "1,234.50"),
    ],
)
def test_small_amounts_are_not_shown_as_nothing(amount, expected):
    assert format_money(amount) == expected


class TestPriceFile:
    def test_replaces_all_prices(self, table, load):
        table["batch"]["vcpu_hour"] = 1
        table["machine_types"] = {"mine": {"vcpus": 3, "memory_gb": 1}}
        prices = load(table)
        assert local_cost(HOUR_S, "mine", prices=prices).total == pytest.approx(3 + 0.003557)
        assert prices.default_machine_type(2).name == "mine"

    def test_a_machine_may_have_a_price_of_its_own(self, table, load):
        table["machine_types"]["rack"] = {"vcpus": 64, "memory_gb": 256, "hour": 2.5}
        # It has a GPU without a price; that of the machine is for all of it.
        assert local_cost(2 * HOUR_S, "rack", gpu="H200", prices=load(table)).total == 5

    def test_the_printed_table_is_one_to_start_from(self, load):
        done = subprocess.run(
            [sys.executable, "-m", "runinference.benchmarks.cost"], capture_output=True, text=True, check=True
        )
        assert load(done.stdout) == load_prices()

    @pytest.mark.parametrize(
        ("place", "value", "problem"),
        [
            (("batch", "vcpu_hour"), -0.1, r"batch\.vcpu_hour: expected a price of 0 or more, got -0\.1"),
            (("batch", "vcpu_hour"), "0.1", r"batch\.vcpu_hour: expected a price of 0 or more, got '0\.1'"),
            (("batch", "vcpu_hour"), True, r"batch\.vcpu_hour: expected a price"),
            (("batch", "vcpu_hour"), float("nan"), r"batch\.vcpu_hour: expected a price"),
            (("batch", "vcpu_hour"), None, r"batch\.vcpu_hour: expected a price"),
            (("streaming", "memory_hour"), 1, r"streaming\.memory_hour: there is no such entry.*'memory_gb_hour'"),
            (("batch", "streaming_data_gb"), 1, r"batch\.streaming_data_gb: there is no such entry"),
            (("prices",), {}, "prices: there is no such entry"),
            (("date",), "yesterday", "date: expected a day such as '2026-11-21', got 'yesterday'"),
            (("currency",), "EUR", "currency: expected 'USD'.*convert the prices"),
            (("region",), " ", "region: expected a text"),
            (("gpus", "T4", "gpu_hour"), -1, r"gpus\.T4\.gpu_hour: expected a price"),
            (("gpus", "T4"), 0.42, r"gpus\.T4: expected an object with accelerator, gpu_hour, got 0\.42"),
            (("gpus",), [], r"gpus: expected entries by name, got \[\]"),
            (
                ("machine_types", "m"),
                {"vcpus": 0, "memory_gb": 1},
                r"machine_types\.m\.vcpus: expected a number above 0",
            ),
            (("machine_types", "m"), {"vcpus": 1}, r"machine_types\.m\.memory_gb: it is missing"),
            (
                ("machine_types", "m"),
                {"vcpus": 1, "memory_gb": 1, "gpu": "T5"},
                r"machine_types\.m\.gpu: 'T5' is none of gpus: T4, L4",
            ),
            (
                ("machine_types", "m"),
                {"vcpus": 1, "memory_gb": 1, "gpu": "T4", "gpus": 1.5},
                r"machine_types\.m\.gpus: expected a whole number above 0, got 1\.5",
            ),
            (
                ("machine_types", "m"),
                {"vcpus": 1, "memory_gb": 1, "gpus": 2},
                r"machine_types\.m\.gpus: it needs gpu beside it",
            ),
        ],
    )
    def test_a_wrong_entry_is_named(self, table, load, place, value, problem):
        inner = table
        for name in place[:-1]:
            inner = inner[name]
        inner[place[-1]] = value
        with pytest.raises(ConfigurationError, match=rf"(?s)prices\.json is no price table:\n  {problem}"):
            load(table)

    def test_every_missing_entry_is_named_at_once(self, load):
        with pytest.raises(ConfigurationError, match="is no price table") as caught:
            load({"batch": {"vcpu_hour": 1}})
        for name in ("date", "streaming", "gpus", "machine_types", "batch.memory_gb_hour", "batch.shuffle_gb"):
            assert f"\n  {name}: it is missing" in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "problem"), [("{", "it is not JSON"), ("[]", r"the document: expected an object")]
    )
    def test_a_document_of_another_kind_is_an_error(self, load, text, problem):
        with pytest.raises(ConfigurationError, match=problem):
            load(text)

    def test_a_file_that_is_not_there_is_an_error(self, tmp_path):
        with pytest.raises(DataError, match=r"none\.json cannot be read: No such file"):
            load_prices(tmp_path / "none.json")

    def test_a_file_that_is_no_text_is_an_error(self, tmp_path):
        (tmp_path / "p.json").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(DataError, match=r"p\.json cannot be read: it is not a text in UTF-8"):
            load_prices(tmp_path / "p.json")


class TestPage:
    """The table of the documentation has the prices of the code."""

    @pytest.fixture
    def page(self):
        return (Path(__file__).resolve().parents[2] / "docs" / "benchmark-costs.md").read_text("utf-8")

    def test_has_the_rates(self, page, prices):
        rows = {
            "a virtual core, for an hour": "vcpu_hour",
            "a GB of memory, for an hour": "memory_gb_hour",
            "a GB of disk, for an hour": "pd_gb_hour",
            "a GB of SSD disk, for an hour": "ssd_gb_hour",
        }
        for row, rate in rows.items():
            batch, streaming = (format_price(getattr(rates, rate)) for rates in (prices.batch, prices.streaming))
            assert f"| {row} | {batch} | {streaming} |" in page
        assert f"| a GB of shuffle | {format_price(prices.batch.data_gb)} | |" in page
        assert f"| a GB of streaming data | | {format_price(prices.streaming.data_gb)} |" in page

    def test_has_the_gpus(self, page, prices):
        for gpu in prices.gpus.values():
            assert f"| {gpu.name} (`{gpu.accelerator}`) | {format_price(gpu.gpu_hour)} |" in page

    def test_has_the_region_the_date_and_the_families(self, page, prices):
        assert f"List prices of {prices.region}, written down on {prices.date}" in page
        families = {name.partition("-")[0] for name in prices.machine_types}
        (listed,) = re.findall(r"The machine types are those of (.+)\.", page)
        assert set(re.findall(r"\w+", listed)) - {"and"} == families


def format_price(price):
    return f"{price:f}".rstrip("0")
