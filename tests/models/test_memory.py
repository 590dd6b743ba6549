"""How much memory of the host is left."""

import sys
from pathlib import Path

import pytest

from runinference.models.memory import available_bytes, fits

pytestmark = pytest.mark.core

MIB = 1 << 20
NO_LIMIT_V1 = 9223372036854771712


class Host:
    """The folders in which a Linux kernel tells about memory, made by hand."""

    def __init__(self, place):
        self.proc, self.groups = place / "proc", place / "cgroup"

    def machine(self, available):
        self._write(
            self.proc / "meminfo", f"MemTotal: 1 kB\nMemAvailable:   {available >> 10} kB\nHugePages_Total: 0\n"
        )

    def member_of(self, *lines):
        self._write(self.proc / "self" / "cgroup", "".join(f"{line}\n" for line in lines))

    def group_v2(self, path, limit, usage, inactive=0):
        folder = self.groups / path.strip("/")
        self._write(folder / "memory.max", f"{limit}\n")
        self._write(folder / "memory.current", f"{usage}\n")
        self._write(folder / "memory.stat", f"anon 5\ninactive_file {inactive}\nactive_file 7\n")

    def group_v1(self, path, limit, usage, inactive=0):
        folder = self.groups / "memory" / path.strip("/")
        self._write(folder / "memory.limit_in_bytes", f"{limit}\n")
        self._write(folder / "memory.usage_in_bytes", f"{usage}\n")
        self._write(folder / "memory.stat", f"inactive_file 3\ntotal_inactive_file {inactive}\n")

    @property
    def available(self):
        return available_bytes(str(self.proc), str(self.groups))

    def fits(self, num_bytes, **options):
        return fits(num_bytes, proc=str(self.proc), cgroup=str(self.groups), **options)

    def _write(self, path, text):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def host(tmp_path):
    host = Host(tmp_path)
    host.machine(1000 * MIB)
    return host


def test_without_groups_it_is_what_the_machine_has_left(host):
    assert host.available == 1000 * MIB


def test_the_limit_of_a_group_counts_where_it_comes_first_and_dropped_caches_are_free(host):
    host.member_of("0::/job")
    host.group_v2("/job", limit=500 * MIB, usage=450 * MIB, inactive=100 * MIB)
    assert host.available == 150 * MIB
    host.machine(80 * MIB)
    assert host.available == 80 * MIB


def test_the_limit_of_a_group_around_it_counts_as_well(host):
    host.member_of("0::/outer/middle/job")
    host.group_v2("/outer/middle/job", limit="max", usage=10 * MIB)
    host.group_v2("/outer/middle", limit=700 * MIB, usage=100 * MIB)
    host.group_v2("/outer", limit=800 * MIB, usage=600 * MIB)
    host.group_v2("/", limit=900 * MIB, usage=650 * MIB)
    assert host.available == 200 * MIB


def test_without_a_limit_the_machine_counts(host):
    host.member_of("0::/job")
    host.group_v2("/job", limit="max", usage=5 * MIB)
    assert host.available == 1000 * MIB


def test_version_1_counts_its_own_names(host):
    host.member_of("12:cpu,cpuacct:/other", "4:memory:/job", "0::/")
    host.group_v1("/job", limit=500 * MIB, usage=450 * MIB, inactive=20 * MIB)
    host.group_v1("/other", limit=5 * MIB, usage=0)
    host.group_v1("/", limit=NO_LIMIT_V1, usage=900 * MIB)
    assert host.available == 70 * MIB


def test_version_1_without_a_limit_says_nothing(host):
    host.member_of("4:hugetlb,memory:/job")
    host.group_v1("/job", limit=NO_LIMIT_V1, usage=1)
    (host.proc / "meminfo").unlink()
    assert host.available is None


def test_a_container_that_is_told_of_paths_of_its_host_finds_its_limit_at_the_root(host):
    host.member_of("4:memory:/docker/0123abcd")
    host.group_v1("/", limit=300 * MIB, usage=100 * MIB)
    assert host.available == 200 * MIB


def test_a_path_that_leads_out_of_sight_leads_to_no_other_folder(host):
    host.group_v2("/", limit=300 * MIB, usage=100 * MIB)
    host.group_v2("/../../outside", limit=5 * MIB, usage=0)
    host.member_of("0::/../../outside")
    assert host.available == 200 * MIB


def test_more_used_than_allowed_leaves_nothing(host):
    host.member_of("0::/job")
    host.group_v2("/job", limit=100 * MIB, usage=101 * MIB)
    assert host.available == 0
    assert host.fits(0)
    assert not host.fits(1)


@pytest.mark.parametrize("damage", ["", "max max\n", "-5\n", "\0", "\xff"])
def test_what_cannot_be_understood_is_passed_over(host, damage):
    host.member_of("0::/job")
    host.group_v2("/job", limit=100 * MIB, usage=50 * MIB)
    Path(host.groups, "job", "memory.max").write_text(damage, encoding="latin-1")
    assert host.available == 1000 * MIB
    host.member_of("no group at all", "a:b", "")
    assert host.available == 1000 * MIB


def test_where_nobody_can_tell_everything_fits(tmp_path):
    host = Host(tmp_path)
    assert host.available is None
    assert host.fits(10**18)


def test_a_model_fits_with_a_margin_of_its_own_size(host):
    assert host.fits(900 * MIB)
    assert not host.fits(950 * MIB)
    assert host.fits(950 * MIB, margin=0)
    assert host.fits(1000 * MIB, margin=0)
    assert not host.fits(1000 * MIB + 1, margin=0)
    assert not host.fits(600 * MIB, margin=1)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells in this way")
def test_this_machine_has_memory_left_but_no_exabyte():
    memory = {line.split()[0]: int(line.split()[1]) << 10 for line in Path("/proc/meminfo").read_text().splitlines()}
    assert 0 < available_bytes() <= memory["MemTotal:"]
    assert fits(1 << 20)
    assert not fits(10**18)
