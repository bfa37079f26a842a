"""Terms and answers as JSON, for the database."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from cost.money import Money
from gateway.experiments.terms import Arm, ArmAnswer, Stop, Terms, pack, unpack


def write_terms(terms: Terms) -> str:
    """Terms as text."""
    return json.dumps({**asdict(terms), "budget": None if terms.budget is None else str(terms.budget)})


def read_terms(text: str) -> Terms:
    """What `write_terms` wrote."""
    row: dict[str, Any] = json.loads(text)
    arms = tuple(Arm(**{**arm, "providers": tuple(arm["providers"])}) for arm in row["arms"])
    budget = None if row["budget"] is None else Money.usd(row["budget"])
    return Terms(**{**row, "arms": arms, "budget": budget, "features": tuple(row["features"]), "stop": Stop(**row["stop"])})


def write_answers(answers: Mapping[str, ArmAnswer]) -> str:
    """Answers by arm as text."""
    return json.dumps(
        {
            name: {
                "found": pack(answer.detections),
                "provider": answer.provider,
                "model": answer.model,
                "cost_usd": str(answer.cost),
                "latency_ms": None if answer.latency_ms is None else round(answer.latency_ms, 2),
                "error": answer.error,
            }
            for name, answer in answers.items()
        },
        separators=(",", ":"),
    )


def read_answers(text: str) -> dict[str, ArmAnswer]:
    """What `write_answers` wrote."""
    return {
        name: ArmAnswer(unpack(row["found"]), row["provider"], row["model"], Money.usd(row["cost_usd"]), row["latency_ms"], row["error"])
        for name, row in json.loads(text).items()
    }
