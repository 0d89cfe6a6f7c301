"""Word banks and made-up words. No randomness of its own: every function takes the generator."""

import random

NOUNS = """
account album alarm angle apron archive arrow badge bag ball band bank barrel basin basket beam
bell belt bench bicycle blanket block board boat bolt bond book boot border bottle bowl box
bracket branch brick bridge brush bucket budget button cabin cable camera candle canvas card
cargo carpet cart case castle chain chair channel chart chest circle clock cloth coat coin
collar column comb copper cord corner cotton counter cover crane crate cup curtain cycle deck
desk dial diary disk dome door drawer drum edge engine fabric face fan farm feather fence field
figure file filter flag flame floor folder forest fork frame fruit fuel furnace garden gate gear
gift glass globe glove grain graph grid group guitar hammer handle harbour hat hill hinge hook
horn hotline house index island item jacket jar jewel kettle key kite knot label ladder lamp
layer leaf ledger lens letter level lever lid limit line link list lock log loop machine magnet
map mark mask mast matrix medal member metal meter mill mirror model module monitor motor nail
needle net node note number object oil option orbit order organ outline oven owner packet page
paint panel paper parcel part patch path pattern pen pencil period phase phone piece pillar
pillow pin pipe plan plate plot pocket point pole pool port pot pouch powder print profile pump
quarter rack radio rail rate record reel region report ring rod role roof root rope route row
rule ruler saddle sail sample scale screen screw seal section segment series shade shelf shell
shield shirt shoe signal silver site size sketch slot socket spark spring stage stamp star
station statue steel stem step stick stone stool store strap string strip style surface switch
symbol table tank tape target temple term thread tile timber token topic torch tower town track
tray tree trunk tube unit valley valve vector vessel village wagon wall watch wave wheel window
wing wire wool yard zone
""".split()

ADJECTIVES = """
active amber basic blue brief bright broad calm central clean clear close cold common deep
direct double dry early empty exact extra fair fast final fine firm first flat fresh full gentle
golden grand green grey half hard heavy high hollow inner large late latest light little local
long loose lower main major minor mixed modern narrow native near new next old open outer plain
polar prime private public pure quick quiet rapid rare raw red remote rough round royal second
secret sharp short silent simple single slow small smooth soft solid special spare square steady
still strong sweet tall target thick thin third total upper urban usual warm weekly white wide
wild yellow young
""".split()

VERBS: dict[str, tuple[str, ...]] = {
    "find": ("find", "search for", "look for", "locate"),
    "detail": ("get", "check", "look up", "fetch"),
    "create": ("book", "reserve", "order", "arrange", "request"),
    "cancel": ("cancel", "call off", "drop", "withdraw"),
    "list": ("count", "tally"),
}
"""Ways to say what each kind of API does; the first word of one of them enters the API's name."""

_ONSETS = "b br c d dr f fl g gr h j k kr l m n p pl pr qu r s sk st t tr v w z".split()
_VOWELS = "a e i o u ai ea io ou".split()
_CODAS = ["", "", "", "l", "m", "n", "r", "s", "t", "x", "nd", "rk", "st"]


def made_up(rng: random.Random, syllables: int = 2) -> str:
    """A pronounceable word that no dictionary holds (most likely), in lower case."""
    parts = []
    for i in range(syllables):
        vowel = rng.choice(_VOWELS if i else _VOWELS[:5])
        parts.append(rng.choice(_ONSETS) + vowel)
    return "".join(parts) + rng.choice(_CODAS)


def spliced(rng: random.Random) -> str:
    """A word of English spelling that no bank holds: one noun's start, another's end."""
    start, end = rng.choice(NOUNS), rng.choice(NOUNS)
    return start[: rng.randint(2, 4)] + end[-rng.randint(3, 5) :]


def title(rng: random.Random) -> str:
    """A made-up proper name of one or two words, capitalised."""
    words = [made_up(rng, rng.choice((2, 2, 3))).capitalize()]
    if rng.random() < 0.3:
        words.append(rng.choice(NOUNS).capitalize())
    return " ".join(words)


def code(rng: random.Random) -> str:
    """Two capital letters and two digits, such as `KD47`."""
    letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
    return rng.choice(letters) + rng.choice(letters) + f"{rng.randrange(10, 100)}"


def abbreviate(rng: random.Random, phrase: str) -> str:
    """A terse developer's name for a phrase: initials, clipped words or dropped vowels."""
    words = [w for w in phrase.split() if w not in {"of", "the", "to", "in", "for", "a"}]
    style = rng.randrange(4)
    if style == 0 and len(words) > 1:
        stem = "".join(w[0] for w in words) + rng.choice("abcdeknqx")
    elif style == 1:
        stem = "_".join(w[: rng.choice((2, 3))] for w in words[-2:])
    elif style == 2:
        last = words[-1]
        stem = last[0] + "".join(c for c in last[1:] if c not in "aeiou")[:3]
    else:
        stem = made_up(rng, 1) + "_" + words[-1][:3]
    decorated = (stem, stem, f"{rng.choice('pqxink')}_{stem}", f"{stem}_{rng.choice(_SUFFIXES)}")
    name = rng.choice(decorated)
    # A name that is also a word would be said in the query.
    return f"{name}z" if name in words or name in _SPOKEN else name


_SPOKEN = frozenset(
    "after also and being call can for get give has let look need not off set the then what".split()
)
_SUFFIXES = ("no", "val", "key", "str", "ref", "id", "nm", "opt", "sel")


def with_article(noun: str) -> str:
    """`a tour`, `an exam`."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
