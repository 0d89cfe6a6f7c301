"""Made-up personal data with valid checksums, for the suite of screening. Belongs to nobody.

Called by adapt.reproduce.screening_hostile.
"""

import random
from importlib import import_module
from typing import Any

_FIRST = ("Mara", "Jonas", "Ilse", "Tomas", "Greta", "Pavel", "Nadia", "Oskar")
_LAST = ("Velden", "Hartwig", "Okoro", "Lindqvist", "Moreau", "Castell", "Brandt", "Ferro")


def personal_text(rng: random.Random, number: int) -> str:
    """A leaked record; `number` chooses its form."""
    name = f"{rng.choice(_FIRST)} {rng.choice(_LAST)}"
    street = f"{rng.randint(2, 99)} {rng.choice(('Maple', 'Cedar', 'Harbor'))} Street"
    born = f"{rng.randint(1950, 2004)}-{rng.randint(1, 12):02d}-{rng.randint(1, 28):02d}"
    mail = f"{name.lower().replace(' ', '.')}{rng.randint(10, 99)}@mailbox.org"
    forms = (
        f"{name} paid with {_card(rng)}, expiring 04/29.",
        f"Refunds for {name} go to {_iban(rng)}.",
        f"{name}, SSN {_ssn(rng)}, called twice.",
        f"Customer: {name}, date of birth: {born}, {street}, {mail}",
        f"Patient: {name}, born {born}. Diagnosis: asthma. Lives at {street}.",
        "\n".join(
            f"{rng.choice(_FIRST)}.{rng.choice(_LAST)}{i}@mailbox.org".lower() for i in range(8)
        ),
        f"| name | card |\n| --- | --- |\n| {name} | {_card(rng)} |",
        f"Employee: {name}\nSalary: 81,400\nDOB: {born}\nPhone: +1 "
        f"415-555-0{rng.randint(100, 199)}",
        f"CPF {_cpf(rng)} de {name}.",
        f"{name} wired from {_iban(rng)} and card {_card(rng)}.",
    )
    return forms[number % len(forms)]


def _card(rng: random.Random) -> str:
    start = "4" + "".join(str(rng.randint(0, 9)) for _ in range(14))
    whole = start + _stdnum("luhn").calc_check_digit(start)
    return " ".join(whole[i : i + 4] for i in range(0, 16, 4))


def _iban(rng: random.Random) -> str:
    account = "37040044" + "".join(str(rng.randint(0, 9)) for _ in range(10))
    return "DE" + _stdnum("iban").calc_check_digits(f"DE00{account}") + account


def _ssn(rng: random.Random) -> str:
    return f"{rng.randint(100, 580)}-{rng.randint(10, 99)}-{rng.randint(1000, 9999)}"


def _cpf(rng: random.Random) -> str:
    cpf = _stdnum("br.cpf")
    while True:
        number = "".join(str(rng.randint(0, 9)) for _ in range(9))
        for check in range(100):
            if cpf.is_valid(f"{number}{check:02d}"):
                return cpf.format(f"{number}{check:02d}")


def _stdnum(module: str) -> Any:
    return import_module(f"stdnum.{module}")
