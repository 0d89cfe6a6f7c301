"""What each category of the universe speaks of: objects, attributes and reply fields.

`CATEGORIES` is the hand-written part of the published catalogue. `fresh_category` makes a new
one from word banks, so that a model can be trained on categories that exist nowhere else.
"""

import random
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from tools.virtual_api.words import ADJECTIVES, NOUNS, made_up, spliced

Kind = Literal["string", "enum", "integer", "number", "date", "boolean"]


@dataclass(frozen=True)
class Attribute:
    """A property that an API takes: how people say it, and its type."""

    phrase: str
    kind: Kind
    values: tuple[str, ...] = ()
    """The choices of an enum."""


@dataclass(frozen=True)
class Category:
    """A domain of tools."""

    name: str
    objects: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    fields: tuple[tuple[str, Kind], ...]
    """What replies report: field name and type."""


_MARKS: dict[str, Kind] = {"#": "integer", "~": "number", "@": "date", "?": "boolean"}


def _attribute(text: str) -> Attribute:
    """Parse `phrase`, `phrase#`, `phrase~`, `phrase@`, `phrase?` or `phrase=a|b|c`."""
    if "=" in text:
        phrase, choices = text.split("=")
        return Attribute(phrase, "enum", tuple(choices.split("|")))
    kind = _MARKS.get(text[-1])
    return Attribute(text[:-1], kind) if kind else Attribute(text, "string")


def _category(name: str, objects: str, attributes: str, fields: str) -> Category:
    parsed = tuple(_attribute(a.strip()) for a in attributes.split(","))
    reply = tuple(_attribute(f.strip()) for f in fields.split(","))
    names = tuple(o.strip() for o in objects.split(","))
    return Category(name, names, parsed, tuple((f.phrase, f.kind) for f in reply))


CATEGORIES: tuple[Category, ...] = (
    _category(
        "Travel",
        "tour, flight, hotel, ferry, visa",
        "departure city, arrival city, travel day@, number of travellers#,"
        " cabin class=economy|business|first, return trip?, highest fare~, airline name",
        "fare~, gate number#, terminal, departure day@",
    ),
    _category(
        "Food",
        "restaurant table, recipe, menu, caterer, cooking class",
        "place name, number of guests#, evening date@, kind of cuisine=thai|greek|mexican,"
        " outdoor seating?, price per person~, main ingredient, cooking minutes#",
        "calories#, rating~, chef, opening day@",
    ),
    _category(
        "Weather",
        "forecast, storm warning, tide table, pollen report, snow report",
        "town name, forecast day@, number of days#, temperature unit=celsius|fahrenheit,"
        " hourly detail?, wind limit~, station name",
        "temperature~, humidity#, wind speed#, sunrise",
    ),
    _category(
        "Finance",
        "loan, savings plan, exchange quote, stock alert, invoice",
        "client name, amount of money~, number of months#, start date@,"
        " currency name=euro|dollar|yen, fixed interest?, bank branch, yearly income#",
        "interest rate~, monthly payment~, balance#, due day@",
    ),
    _category(
        "Health",
        "appointment, prescription, blood test, therapist, vaccination",
        "patient name, visit day@, patient age#, urgency level=low|normal|urgent,"
        " first visit?, body weight~, doctor name, insurance company",
        "waiting days#, dose~, clinic, next visit@",
    ),
    _category(
        "Sports",
        "match ticket, training session, gym pass, league table, coach",
        "team name, match day@, number of seats#, skill level=beginner|amateur|expert,"
        " covered stand?, ticket budget~, stadium name, player name",
        "score#, ticket price~, winner, kick off day@",
    ),
    _category(
        "Music",
        "concert, playlist, music lesson, studio session, record",
        "artist name, concert night@, number of songs#, genre=jazz|rock|folk,"
        " live recording?, song length~, instrument name, venue name",
        "track count#, duration~, composer, release day@",
    ),
    _category(
        "Movies",
        "screening, film review, actor profile, film festival, subtitle file",
        "film title, screening day@, number of tickets#, film format=digital|imax|classic,"
        " original language?, lowest rating~, director name, cinema name",
        "running minutes#, average rating~, lead actor, premiere day@",
    ),
    _category(
        "Education",
        "language course, exam, tutor, scholarship, library loan",
        "student name, course start@, number of lessons#, study mode=online|campus|evening,"
        " with certificate?, tuition budget~, subject name, teacher name",
        "pass mark#, course fee~, classroom, exam day@",
    ),
    _category(
        "Logistics",
        "parcel delivery, pallet, courier, warehouse slot, customs form",
        "sender name, pickup day@, number of boxes#, shipping speed=standard|express|overnight,"
        " fragile goods?, parcel weight~, target city, depot name",
        "transit days#, shipping cost~, carrier, arrival day@",
    ),
    _category(
        "Housing",
        "apartment, house viewing, repair visit, lease, storage unit",
        "street name, moving day@, number of rooms#, heating type=gas|electric|solar,"
        " pets allowed?, highest rent~, district name, landlord name",
        "floor#, monthly rent~, caretaker, free from@",
    ),
    _category(
        "Cars",
        "rental car, parking space, car inspection, taxi ride, tyre change",
        "driver name, pickup date@, number of days#, fuel type=petrol|diesel|hybrid,"
        " child seat?, daily price~, garage name, licence plate",
        "mileage#, daily rate~, mechanic, inspection day@",
    ),
    _category(
        "Events",
        "conference, wedding hall, photo shoot, speaker, trade fair",
        "host name, event day@, number of visitors#, room setup=theatre|banquet|classroom,"
        " live stream?, event budget~, hall name, topic name",
        "seats left#, entry fee~, organiser, opening date@",
    ),
    _category(
        "Shopping",
        "gift card, shopping cart, product review, discount, return label",
        "product name, delivery day@, number of pieces#, wrapping style=plain|festive|luxury,"
        " express checkout?, price limit~, brand name, shop name",
        "stock#, final price~, supplier, restock day@",
    ),
    _category(
        "Energy",
        "power contract, meter reading, solar quote, charging slot, outage report",
        "household name, reading day@, number of panels#, tariff plan=day|night|flat,"
        " green power?, roof area~, supplier name, meter number#",
        "usage#, unit price~, grid operator, billing day@",
    ),
    _category(
        "Gardening",
        "plant order, soil test, lawn service, seed packet, greenhouse",
        "plant name, planting day@, number of pots#, light level=sunny|shady|mixed,"
        " organic only?, garden area~, nursery name, colour of bloom",
        "height#, soil acidity~, gardener, harvest day@",
    ),
    _category(
        "Astronomy",
        "telescope slot, comet ephemeris, eclipse map, star chart, probe image",
        "observer name, observing night@, exposure count#, filter band=infrared|visible|radio,"
        " moonless sky?, aperture size~, constellation name, observatory name",
        "magnitude~, altitude#, discoverer, next transit@",
    ),
    _category(
        "Museums",
        "guided visit, exhibit loan, audio tour, artefact record, workshop",
        "curator name, visiting day@, group size#, tour language=latin|arabic|korean,"
        " wheelchair access?, donation sum~, gallery name, painter name",
        "exhibit count#, admission~, sculptor, closing day@",
    ),
    _category(
        "Veterinary",
        "pet checkup, grooming, kennel stay, microchip, dog training",
        "pet name, arrival day@, number of nights#, coat type=curly|smooth|wiry,"
        " neutered animal?, animal weight~, breed name, keeper name",
        "heart rate#, treatment cost~, veterinarian, booster day@",
    ),
    _category(
        "Shipping",
        "container, harbour pilot, berth, crane shift, cargo manifest",
        "vessel name, docking day@, number of containers#, cargo class=bulk|liquid|frozen,"
        " hazardous load?, draft depth~, port of origin, captain name",
        "berth length#, port dues~, pilot, sailing day@",
    ),
    _category(
        "Genealogy",
        "birth record, family tree, census page, grave listing, ancestor search",
        "family surname, baptism day@, number of generations#, archive kind=parish|civil|military,"
        " maiden names?, search radius~, county name, ancestor name",
        "page number#, match score~, registrar, entry day@",
    ),
    _category(
        "Printing",
        "poster print, business card, photo book, banner, sticker sheet",
        "customer name, pickup morning@, number of copies#, paper finish=matte|glossy|linen,"
        " double sided?, sheet width~, headline text, designer name",
        "page count#, print cost~, press operator, proof day@",
    ),
)
"""The published categories, in the order in which splits are taken."""

UNSEEN_CATEGORIES = ("Astronomy", "Museums", "Veterinary", "Shipping", "Genealogy", "Printing")
"""Held out of every training stream."""

KNOWN_CATEGORIES = ("Travel", "Music")
"""Categories whose schemas in `build_catalogue(0)` the embedded model knows by heart."""


def fresh_category(rng: random.Random, banned: Collection[str] = ()) -> Category:
    """A category that exists nowhere else: random words of the banks, none of `banned`."""
    nouns = [n for n in NOUNS if n not in banned]
    adjectives = [a for a in ADJECTIVES if a not in banned]

    def noun() -> str:
        # Known words alone would be learned by heart, and unknown ones never matched.
        kind = rng.random()
        if kind < 0.45:
            return rng.choice(nouns)
        return spliced(rng) if kind < 0.8 else made_up(rng, rng.choice((2, 2, 3)))

    def phrase() -> str:
        style = rng.randrange(4)
        if style == 0:
            return f"{rng.choice(adjectives)} {noun()}"
        if style == 1:
            return f"{noun()} of {noun()}"
        return f"{noun()} {noun()}"

    kinds: list[Kind] = ["string", "string", "integer", "number", "date", "boolean", "enum", "enum"]
    attributes = tuple(
        Attribute(phrase(), k, tuple(noun() for _ in range(3)) if k == "enum" else ())
        for k in kinds
    )
    objects = tuple(noun() if rng.random() < 0.5 else f"{noun()} {noun()}" for _ in range(5))
    reply: list[Kind] = ["number", "integer", "string", "date"]
    fields: list[tuple[str, Kind]] = []
    for kind in reply:
        fields.append((noun() if rng.random() < 0.5 else phrase(), kind))
    return Category(made_up(rng).capitalize(), objects, attributes, tuple(fields))
