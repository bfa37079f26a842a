from providers.renewal import Renewal


def test_a_storm_of_refusals_makes_one_new_client_in_five_seconds():
    forgotten, now = [], [100.0]
    renewal = Renewal(lambda: forgotten.append(now[0]), lambda: now[0])
    for _ in range(100):
        renewal.refused()
    assert forgotten == [100.0]
    now[0] = 105.0
    renewal.refused()
    assert forgotten == [100.0, 105.0]
