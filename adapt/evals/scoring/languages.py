"""Which language a text is written in: by its script, and by the commonest words of the language.

For IFEval's rules on languages, and no further: a closed list, no probabilities, no learned table.
The same text always has the same languages. Called by adapt.evals.scoring.instruction_rules.
"""

import re
import unicodedata
from collections import Counter

_WORDS: dict[str, tuple[str, str]] = {
    "en": ("latin", "the of and to in is that it was for with as his he be on are this have from"
           " you not by they we but what all were when your can there an which their if will how"
           " our my or so out up about who get would make its at has"),
    "es": ("latin", "el la de que y los las se del por con una para es un lo como más pero sus le"
           " ya este porque esta entre cuando muy sin sobre también hasta hay donde quien desde"
           " todo nos está son"),
    "pt": ("latin", "o a de que e do da em um para com não uma os no se na por mais as dos como mas"
           " ao ele das à seu sua ou quando muito nos já também só pelo pela até isso ela são"),
    "fr": ("latin", "le la les de des et un une du est que qui dans en pour pas sur plus par avec"
           " il au se sont ne vous nous cette mais ou leur être elle aux ces je très c'est été"),
    "de": ("latin", "der die das und ist in den von zu mit sich des auf für nicht ein eine im dem"
           " als auch es an werden aus er hat dass sie nach wird bei einer um am sind noch wie"
           " ich wir zum haben aber"),
    "it": ("latin", "il di che la e un per una in è non del si da con le sono i della come più ma"
           " nel gli alla dei anche lo se al questo ha delle nella dal molto perché essere"),
    "pl": ("latin", "i w nie na się z że do to jest jak o po co ale od za tym dla przez już tylko"
           " być jego są oraz był ich może czy który która które przed gdy bardzo"),
    "vi": ("latin", "là và của có cho không được các một trong với những người này đã để tôi khi từ"
           " ra đó như về bạn vào cũng nhiều đến làm nhưng sẽ hay rất trên"),
    "sw": ("latin", "na ya wa kwa ni katika za la kuwa cha hii kama si yake hiyo lakini pia hivyo"
           " sana watu yangu wake kila au hata huu huo wao alikuwa ambayo baada"),
    "fi": ("latin", "ja on ei että se oli hän mutta niin kun joka ovat tai myös voi ole mitä sen"
           " kuin siitä jos minä sinä me he olla hyvin vain nyt tämä jotka sekä"),
    "nl": ("latin", "de het een van en in is dat op te zijn met voor niet die aan er om ook als"
           " bij naar uit wordt nog heeft worden deze dit wij ik je geen"),
    "sv": ("latin", "och att det i en som på är av för med den till inte om ett han men var jag de"
           " har kan från vi så när eller också alla mycket"),
    "da": ("latin", "og at det i en den til er som på de med han af for ikke der var et har om vi"
           " jeg men kan fra så når eller også meget"),
    "tr": ("latin", "ve bir bu için ile da de olan gibi daha çok ne var olarak ama kadar sonra en"
           " ben değil her şey mi olduğu ise"),
    "id": ("latin", "yang dan di untuk dengan dari tidak ini itu pada adalah akan ke dalam juga"
           " saya kami mereka bisa ada atau karena lebih sudah telah"),
    "cs": ("latin", "a se na je že v to s z do o jako ale by pro za jsem byl jsou po tak který co"
           " nebo jeho také však není podle"),
    "ro": ("latin", "și de în a la cu nu o pe că este un din mai se pentru care o fost să sau dar"
           " sunt ca lui prin după foarte această"),
    "hu": ("latin", "a az és hogy nem is egy ez volt meg csak de már ha vagy mint el még van azt ki"
           " kell sem nagyon minden"),
    "ru": ("cyrillic", "и в не на что с по как это он но к за из от для так же вы был есть мы я ты"
           " бы или все они очень его чтобы может является"),
    "uk": ("cyrillic", "і в не на що з та до як це за для від є й але про ми ви він у тому або ще"
           " бути дуже був цей може вони щоб"),
    "bg": ("cyrillic", "и в не на се да е за от са с че по като ще до това но той си при или към"
           " които може беше тя те също една един много съм има"),
    "ar": ("arabic", "في من على أن إلى التي الذي هذا هذه كان لا ما هو هي عن مع كل بعد قد أو ذلك بين"
           " كما لم ثم إن يمكن"),
    "fa": ("arabic", "و در به از که این را با است برای آن یک خود تا بر می شود های کرد هم شد بود اما"
           " یا ما من دارد کنید"),
    "ur": ("arabic", "کے کی ہے میں اور کا سے کو اس پر نے ہیں کہ یہ ایک بھی نہیں تھا جو ہو وہ کر ان"
           " تو آپ کیا لیے گیا"),
    "hi": ("devanagari", "के में है की और से का को हैं पर यह एक ने कि नहीं भी था हो कर इस लिए तो जो"
           " वह ये हम आप मैं थी अपने"),
    "mr": ("devanagari", "आणि आहे या ते व हे तो ही आहेत होते मध्ये एक नाही त्या असे केले होता साठी"
           " त्यांनी की पण मी आम्ही तुम्ही झाला आहात"),
    "ne": ("devanagari", "र छ को मा लागि पनि यो हो गर्न छन् भएको लाई ले गरेको तर एक थियो छैन हुन्"
           " म हामी तपाईं बाट गर्छ"),
}  # fmt: skip
"""Script and commonest words, where one script has several languages."""

_BY_SCRIPT = {
    "greek": "el", "hebrew": "he", "bengali": "bn", "gurmukhi": "pa", "gujarati": "gu",
    "tamil": "ta", "telugu": "te", "kannada": "kn", "malayalam": "ml", "thai": "th",
    "hangul": "ko", "kana": "ja", "cjk": "zh",
}  # fmt: skip
"""The one language of a script."""

LANGUAGES = frozenset(_WORDS) | frozenset(_BY_SCRIPT.values())
"""Codes (ISO 639-1) of all languages that can be told."""

_LANGUAGES_OF: dict[str, frozenset[str]] = {
    script: frozenset(code for code, (of, _) in _WORDS.items() if of == script)
    for script in ("latin", "cyrillic", "arabic", "devanagari")
}
_HOLDERS: dict[str, list[str]] = {}
for _code, (_script, _common) in _WORDS.items():
    for _word in set(_common.split()):
        _HOLDERS.setdefault(_word, []).append(_code)

_TOKEN = re.compile(r"[^\s\d.,;:!?\"“”„«»()\[\]<>{}*_#|/\\…।॥،؟-]+")
_CHARS = 20_000
"""How much of a text is read: its language is plain long before."""


def languages_of(text: str) -> frozenset[str]:
    """The languages that `text` may be in: one where its words tell, none where it has no letters.

    Several where the words leave it open, as in a single name.
    """
    # NFC: a decomposed letter is in no list of words.
    text = unicodedata.normalize("NFC", text[:_CHARS]).casefold()
    script = _script_of(text)
    if script in _BY_SCRIPT:
        return frozenset({_BY_SCRIPT[script]})
    if script not in _LANGUAGES_OF:
        return frozenset()
    counts: Counter[str] = Counter()
    for word, times in Counter(_TOKEN.findall(text)).items():
        for code in _HOLDERS.get(word.strip("'’"), ()):
            counts[code] += times
    possible = _LANGUAGES_OF[script]
    best = max((counts[code] for code in possible), default=0)
    return frozenset(code for code in possible if counts[code] == best)


def _script_of(text: str) -> str:
    """The script of most of the letters; empty where there are none."""
    scripts: Counter[str] = Counter()
    for letter, times in Counter(text).items():
        if unicodedata.category(letter)[0] in "LM":
            scripts[unicodedata.name(letter, "").partition(" ")[0].lower()] += times
    # Japanese mixes both; Chinese has no kana.
    scripts["kana"] = scripts.pop("hiragana", 0) + scripts.pop("katakana", 0)
    if scripts["kana"]:
        scripts["kana"] += scripts.pop("cjk", 0)
    script, times = max(scripts.items(), key=lambda pair: pair[1], default=("", 0))
    return script if times else ""
