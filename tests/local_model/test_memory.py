import pytest

from local_model import memory

GB = 1 << 30


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Two cores, and files that tell of memory."""
    monkeypatch.setattr(memory, "cores", lambda: 2)
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_CGROUP", tmp_path)

    def told(available_kb=None, most=None, used="0"):
        if available_kb is not None:
            (tmp_path / "meminfo").write_text(f"MemTotal: 99 kB\nMemAvailable:  {available_kb} kB\n")
        if most is not None:
            (tmp_path / "memory.max").write_text(f"{most}\n")
            (tmp_path / "memory.current").write_text(f"{used}\n")

    return told


@pytest.mark.parametrize(
    ("told", "fits"),
    [
        ({"available_kb": 4 << 20}, True),
        ({"available_kb": 700 << 10}, False),
        ({"available_kb": 4 << 20, "most": "max"}, True),
        ({"available_kb": 4 << 20, "most": 1 * GB, "used": GB // 2}, False),
        ({"most": 4 * GB}, True),
        ({}, True),  # nobody tells
    ],
)
def test_a_process_a_core_fits_where_system_and_container_have_room_for_it(machine, told, fits):
    machine(**told)
    assert memory.a_process_a_core_fits() is fits
