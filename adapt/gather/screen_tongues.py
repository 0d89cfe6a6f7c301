"""Orders to set instructions aside, in the languages that models read besides English.

Word stems only, folded as adapt.gather.screen_text does (no accents, small letters). Called by
adapt.gather.screen_instructions.
"""

import re
from typing import NamedTuple

from adapt.gather.screen_text import plain


class Tongue(NamedTuple):
    """Stems of one language: verbs of setting aside, what is set aside, and which of it."""

    name: str
    aside: str
    orders: str
    earlier: str
    near: int = 60
    """Most characters between them: few in scripts in which a character is a word."""


TONGUES = (
    Tongue("German", r"ignorier|missacht|vergiss|vergesst|vergessen sie|uberschreib|nicht beacht|"
           r"beachte[nt]? .{0,30}nicht|setz\w* .{0,40}ausser kraft|ausser acht",
           r"anweisung|instruktion|anordnung|vorgabe|richtlinie|regel|system-?prompt|befehl",
           r"vorherig|bisher|samtlich|fruher|obig|vorig|alle|jede|ursprunglich|deine|eure|ihre"),
    Tongue("French", r"ignor|oubli|neglige|ne (tiens|tenez) (pas|plus|aucun) compte|ne suis plus|"
           r"ne suivez plus|passe outre|passez outre|faites? abstraction|contourn",
           r"instruction|consigne|directive|regle|ordre|invite systeme|prompt",
           r"precedent|anterieur|ci-dessus|toutes?|tous|tes|vos|initial|d'avant|recu"),
    Tongue("Spanish", r"ignor|olvid|desestim|descart|haz caso omiso|hagan? caso omiso|no sigas|"
           r"omit|pas(a|e) por alto|anul",
           r"instruccion|indicacion|directriz|directrices|regla|orden|mensaje del sistema|prompt",
           r"anterior|previ|todas?|todos|tus|sus|arriba|inicial|recibid"),
    Tongue("Italian", r"ignor|dimentic|trascur|non (seguire|considerare|tenere conto)|scart|annull",
           r"istruzion|indicazion|direttiv|regol|ordin|prompt",
           r"precedent|anterior|tutte|tutti|tue|sopra|inizial|ricevut"),
    Tongue("Portuguese", r"ignor|esquec|desconsider|desprez|descart|nao (siga|sigas)",
           r"instruco|instrucao|orientac|orientaco|diretriz|regra|ordem|ordens|prompt",
           r"anterior|previ|todas?|todos|suas?|acima|inicia|recebid"),
    Tongue("Dutch",
        r"negeer|vergeet|sla .{0,30}over|laat .{0,40}buiten beschouwing|volg .{0,30}niet",
           r"instructie|aanwijzing|opdracht|regel|richtlijn|prompt",
           r"vorige|eerdere|bovenstaande|alle|jouw|voorgaande|oorspronkelijk"),
    Tongue("Polish", r"zignoruj|ignoruj|zapomnij|pomin|nie stosuj|odrzuc",
           r"instrukcj|polecen|zasad|wytyczn|regul|prompt",
           r"poprzedni|wczesniejsz|powyzsz|wszystki|twoj|dotychczas"),
    Tongue("Czech", r"ignoruj|zapomen|nedbej|preskoc|nerid",
           r"instrukc|pokyn|pravid|prikaz|prompt", r"predchoz|vsechn|drivejs|vyse|puvodn|tve|sve"),
    Tongue("Swedish", r"ignorer|glom|bortse|strunta", r"instruktion|anvisning|regl|order|prompt",
           r"tidigare|foregaende|alla|ovanstaende|dina"),
    Tongue("Romanian",
        r"ignor|uita|nu tine cont|nu (mai )?urma", r"instructiun|regul|indicati|prompt",
           r"anterioar|precedent|toate|de mai sus|tale"),
    Tongue("Turkish",
        r"gormezden gel|yok say|unut|dikkate alma|goz ardi et",
            r"talimat|kural|komut|yonerge|istem",
           r"onceki|tum|butun|yukaridaki|daha once"),
    Tongue("Indonesian", r"abaikan|lupakan|jangan ikuti",
        r"instruksi|perintah|aturan|petunjuk|arahan",
           r"sebelum|semua|segala|di atas|awal"),
    Tongue("Vietnamese", r"bo qua|phot lo|quen|lo di",
        r"huong dan|chi dan|chi thi|lenh|quy tac|yeu cau",
           r"truoc|tat ca|moi|ben tren"),
    Tongue("Russian", r"игнорир|забуд|отбрось|не обращай|не следуй|отмени|пренебре|не учитывай",
           r"инструкц|указани|правил|команд|распоряжен|промпт|предписани",
           r"предыдущ|прежн|все|ранее|выше|перво|прошл|свои"),
    Tongue("Ukrainian", r"ігнор|забуд|знехтуй|відкинь|не зважай", r"інструкц|вказівк|правил|команд",
           r"попередн|усі|всі|раніше|вище"),
    Tongue("Greek", r"αγνο|ξεχασ|παραβλεψ", r"οδηγι|εντολ|κανον", r"προηγουμεν|ολες|ολα|παραπανω"),
    Tongue("Chinese", r"忽略|无视|無視|忘记|忘記|忘掉|"
           r"不要理会|不要理會|抛开|拋開|别管|不要遵守|不要遵循",
           r"指令|指示|说明|說明|规则|規則|提示|命令|要求",
           r"之前|以前|先前|上述|上面|以上|所有|一切|前面|此前|原来", 20),
    Tongue("Japanese", r"無視|忘れ|従わない|取り消|破棄", r"指示|命令|指令|ルール|規則|プロンプト",
           r"以前|これまで|今まで|前の|上記|すべて|全て|先の|従来", 25),
    Tongue("Korean", r"무시|잊어|잊으|따르지",
           r"지시|명령|지침|규칙|프롬프트", r"이전|앞선|모든|위의|기존|지금까지", 25),
    Tongue("Arabic", r"تجاهل|انس|اهمل|لا تتبع|تغاض", r"تعليمات|اوامر|أوامر|توجيهات|قواعد|التعليم",
           r"السابق|جميع|كل|أعلاه|اعلاه"),
    Tongue("Persian", r"نادیده|فراموش|توجه نکن", r"دستور|قوانین|راهنما",
        r"قبلی|پیشین|همه|تمام|بالا"),
    Tongue("Hebrew", r"התעלם|התעלמ|שכח", r"הוראות|ההנחיות|הנחיות|כללים", r"קודמ|כל|לעיל"),
    Tongue("Hindi",
        r"अनदेखा|नजरअंदाज|नज़रअंदाज़|भूल|उपेक्षा|ध्यान न", r"निर्देश|आदेश|नियम",
            r"पिछल|पूर्व|सभी|पहले|उपर|ऊपर"),
    Tongue("Thai", r"เพิกเฉย|ละเว้น|ลืม|ไม่ต้องสนใจ", r"คำสั่ง|คำแนะนำ|กฎ",
        r"ก่อนหน้า|ทั้งหมด|ข้างต้น"),
)  # fmt: skip


def _pattern(tongue: Tongue) -> re.Pattern[str]:
    """All three near each other, in any order."""
    gap = f".{{0,{tongue.near}}}?"
    a, o, e = (f"(?:{plain(part)})" for part in tongue[1:4])
    # Latin stems begin a word: `ignor` of one language must not be found inside another's.
    edge = r"\b" if a.isascii() else ""
    orders = (a, e, o), (a, o, e), (e, o, a), (o, e, a)
    return re.compile("|".join(gap.join(edge + part for part in order) for order in orders))


PATTERNS = tuple((tongue.name, _pattern(tongue)) for tongue in TONGUES)
SYSTEM_PROMPT = re.compile(
    plain(
        r"invite systeme|mensaje del sistema|prompt (?:de|do|del|di) sistema|prompt systeme|"
        r"системн\w+ (?:промпт|подсказк|сообщени)|系统提示|系統提示|システムプロンプト|"
        r"시스템 ?프롬프트|موجه النظام|सिस्टम प्रॉम्प्ट"
    )
)
"""What a model's first instructions are called in some of them."""
