import re
import time

from gateway.ids import new_id


def test_ids_are_ulids_unique_and_sorted_by_time():
    first = new_id()
    time.sleep(0.002)
    later = [new_id() for _ in range(1_000)]
    assert all(re.fullmatch("[0-7][0-9A-HJKMNP-TV-Z]{25}", one) for one in later)
    assert len(set(later)) == 1_000
    assert all(first < one for one in later)
    assert first.startswith("01"), "milliseconds since 1970 in the first ten characters"
