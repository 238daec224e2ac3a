"""Generated texts that hold one value of a kind, and clean ones that look like it.

Values are made by rules of their own (check digits computed here the slow way), so the
detectors are not tested against themselves.
"""

import random
import uuid

WORDS = [
    "order",
    "invoice",
    "please",
    "look",
    "the",
    "delivery",
    "by",
    "Friday",
    "for",
    "team",
    "meeting",
    "notes",
    "Müller",
    "bestellt",
    "drei",
    "Kisten",
    "Schrauben",
    "merci",
    "pour",
    "votre",
    "commande",
    "tomorrow",
    "at",
    "noon",
    "list",
    "room",
    "budget",
    "3",
    "x",
    "Widget,",
    "total",
    "of",
    "1,234.50",
    "EUR",
    "und",
    "12.5",
    "kg",
]


def luhn_digit(body):
    total = 0
    for index, digit in enumerate(reversed(body)):
        value = int(digit) * (2 if index % 2 == 0 else 1)
        total += value if value < 10 else value - 9
    return str((10 - total % 10) % 10)


def card(rng):
    prefix, length = rng.choice([
        ("4", 16), ("51", 16), ("55", 16), ("2221", 16), ("34", 15), ("37", 15),
        ("6011", 16), ("3528", 16), ("36", 14), ("62", 16),
    ])  # fmt: skip
    body = prefix + "".join(
        rng.choice("0123456789") for _ in range(length - len(prefix) - 1)
    )
    number = body + luhn_digit(body)
    sign = rng.choice(["", " ", "-"])
    return sign.join(number[at : at + 4] for at in range(0, length, 4))


def iban(rng):
    country, size, form = rng.choice([
        ("DE", 22, "d"), ("GB", 22, "l"), ("FR", 27, "d"), ("NL", 18, "l"),
        ("CH", 21, "d"), ("NO", 15, "d"),
    ])  # fmt: skip
    digits = "".join(rng.choice("0123456789") for _ in range(size - 4))
    body = ("ABCD" + digits[4:]) if form == "l" else digits
    numeric = "".join(
        str(ord(c) - 55) if c.isalpha() else c for c in body + country + "00"
    )
    number = f"{country}{98 - int(numeric) % 97:02}{body}"
    if rng.random() < 0.5:
        return " ".join(number[at : at + 4] for at in range(0, size, 4))
    return number


def credential(rng):
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    some = "".join(rng.choice(letters) for _ in range(40))
    return rng.choice([
        f"AKIA{some[:16]}", f"ghp_{some[:36]}", f"xoxb-{some[:24]}",
        f"sk_live_{some[:24]}", f"password={some[:10]}", f"Passwort: {some[:8]}!7",
        f"api_key = '{some[:20]}'", f"https://user:{some[:9]}@host.example/x",
        f"eyJhbGciOi{some[:9]}.eyJzdWIi{some[:12]}.{some[:20]}",
        "-----BEGIN RSA PRIVATE KEY-----\nMIIE" + some + "\n-----END RSA PRIVATE KEY-----",
    ])  # fmt: skip


def email(rng):
    return f"{rng.choice(['ada', 'j.doe', 'info+x'])}{rng.randrange(99)}@{rng.choice(['mail.example', 'a-b.example.org'])}"


def phone(rng):
    number = "".join(rng.choice("0123456789") for _ in range(8))
    return rng.choice([
        f"+49 30 {number}", f"+1 (202) {number[:3]}-{number[3:7]}", f"+4179{number[:7]}",
        f"Tel. 030 {number}", f"phone: 0{number}", f"Handy: 0171/{number}",
    ])  # fmt: skip


MADE = {"card": card, "iban": iban, "credential": credential, "email": email, "phone": phone}  # fmt: skip


def sentence(rng, *parts):
    words = [rng.choice(WORDS) for _ in range(rng.randrange(6, 24))]
    for part in parts:
        words.insert(rng.randrange(len(words)), part)
    return " ".join(words)


def holding(kind, count=300):
    rng = random.Random(kind)
    made = ((MADE[kind](rng), rng) for _ in range(count))
    return [(value, sentence(rng, value)) for value, rng in made]


def clean(count=2000):
    rng = random.Random("clean")
    return [sentence(rng, hard_negative(rng)) for _ in range(count)]


def hard_negative(rng):
    """What looks like a value and is none."""
    digits = "".join(rng.choice("0123456789") for _ in range(20))
    made = str(uuid.UUID(int=rng.getrandbits(128), version=4))
    wrong = card(rng)
    wrong = wrong[:-1] + str((int(wrong[-1]) + 1 + rng.randrange(8)) % 10)
    return rng.choice([
        made, f"{rng.getrandbits(160):040x}", f"{rng.getrandbits(256):064x}",
        f"ISBN 978-3-16-148410-{rng.randrange(10)}", "20260123045622", "1790000000000",
        wrong, f"https://shop.example/item/{digits[:16]}?ref={made}",
        f"DE{digits[:20]}"[:21], f"order PO-{digits[:8]}", "v10.1.2.3", "12:30-14:00",
        "@team", "password: required", "Token: see the wiki", "reset your password",
        "tel aviv", f"{digits[:3]},{digits[3:6]}.50", "hello@", "2026-01-23T04:56:22Z",
    ])  # fmt: skip


def full_width(value):
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in value)


EVASIONS = {
    "zero-width": "\u200b".join,
    "full-width": full_width,
    "no-break space": lambda value: value.replace(" ", "\u00a0"),
    "entities": lambda value: "".join(f"&#{ord(c)};" for c in value),
    "percent": lambda value: "".join(f"%{b:02X}" for b in value.encode()),
    "other dash": lambda value: value.replace("-", "\u2011"),
}
