"""The words of orders to a model, in English: what screen_phrases and screen_answers put together.

Parts of regular expressions on folded text (adapt.gather.screen_text). Called by those two alone.
"""

import re
from typing import NamedTuple


class Phrase(NamedTuple):
    """A pattern, what it is after, and how much it alone says."""

    aim: str
    weight: float
    pattern: re.Pattern[str]


def phrases(*given: tuple[str, float, str]) -> tuple[Phrase, ...]:
    """Patterns from (aim, weight, regular expression)."""
    return tuple(Phrase(aim, weight, re.compile(pattern)) for aim, weight, pattern in given)


ASIDE = (
    r"(?:ignor(?:e|es|ed|ing)|disregard\w*|forget\w*|overrid(?:e|es|ing)|overrul\w+|bypass\w*|"
    r"neglect\w*|discard\w*|drop(?:ping)?|abandon\w*|scrap|unlearn|circumvent\w*|dismiss\w*|"
    r"wipe|erase|suspend|retire|overwrit\w+|swap|exchange|substitut\w+|"
    r"shelve|nullif\w+|void|revoke\w*|supersed\w+|outrank\w*|"
    r"replac(?:e|es|ing)|(?:set|put|lay|cast|push|leave|brush|throw|toss)(?:ting)? (?:\w+ "
    r"){0,8}?(?:aside|"
    r"behind|away|out)|let go of|skip(?:ping)? over|(?:do not|don't|never|stop|cease|quit|no "
    r"longer|need not|needn't|not have to|not bound by|rather than|instead of) (?:to )?"
    r"(?:follow|obey|heed|honou?r|apply|appl(?:y|ies)|respect|observe|comply|listen|rely|count|"
    r"adher\w+|abid\w+|trust|bound)\w*|pay no (?:attention|heed|mind)|no longer (?:count|appl|"
    r"matter|bind|hold|valid|stand|govern)\w*|(?:has|have) been (?:withdrawn|lifted|cancell?ed|"
    r"revoked|replaced)|leave .{0,40}?behind|takes? (?:its|their) place|"
    r"(?:take|takes|have|has|hold|holds|given|give) (?:priority|precedence) over|"
    r"(?:is|are|be|becomes?|counts? as|considered|treated? as) (?:now )?(?:void|obsolete|invalid|"
    r"superseded|cancell?ed|revoked|suspended|null|lifted|withdrawn|outdated|irrelevant|"
    r"replaced|overridden|out of date|no longer (?:valid|binding|in force|in effect|relevant)))"
)
EARLIER = (
    r"(?:previous(?:ly)?|prior|earlier|preceding|foregoing|above|former(?:ly)?|existing|original"
    r"(?:ly)?|initial(?:ly)?|old|other|all|any|every(?:thing)?|your|you|system|so far|"
    r"until now|up to now|up to this point|before(?:hand)?|first|current|usual|standard|default|"
    r"normal|whatever|what)"
)
RULES = (
    r"(?:instructions?|system (?:message|prompt|rules?)|prompts?|directives?|directions|"
    r"guidelines?|guardrails?|"
    r"programming|commands?|orders|training|safety (?:rules?|polic\w+|filters?|guidelines?|"
    r"training|measures)|restrictions?|constraints?|guidance|briefing|rulebook|rule ?set|rules|"
    r"conditioning|you (?:were|have been|had been|are|'ve been) (?:told|given|asked|instructed|"
    r"taught|shown|configured|programmed|trained)|told (?:you|before|earlier)|"
    r"(?:developers?|creators?|makers?|operators?|owners?|vendors?) (?:said|told|gave|set|"
    r"configured|taught|wrote|asked)|gave you|set for you|"
    r"(?:written|stated|said|stands?|came|comes|given|provided|placed|mentioned) (?:to you |here "
    r")?(?:above|before|"
    r"earlier|previously|first|so far)|(?:said|told|given|taught|shown) to you|taught you|you "
    r"(?:came|started|began|set out|were shipped|were built) with)"
)
MODEL = (
    r"(?:ai|a\.i\.|a\.i|artificial intelligence|llms?|language[- ]models?|large language[- "
    r"]models?|"
    r"chat ?bots?|assistants?|chat ?gpt|gpt(?:-?\d\w*)?|claude|gemini|llama|qwen|copilot|mistral|"
    r"neural net(?:work)?s?|"
    r"(?:ai|automated|automatic|autonomous|machine|non-?human|artificial|digital|silicon) "
    r"(?:agents?|readers?|systems?|assistants?|models?|helpers?|crawlers?|summari[sz]ers?|"
    r"processors?)|"
    r"(?:intelligent|electronic|thinking|synthetic) (?:systems?|readers?|programs?|machines?|"
    r"minds?|"
    r"brains?|beings?)|(?:digital|artificial) (?:minds?|beings?|brains?)|\w+ (?:made )?of silicon)"
)
ANY_MODEL = rf"(?:{MODEL}|models?|transformers?|machines?(?! learning)|programs?|software)"
"""Where an order follows at once: the bare words mean other things as well."""
MUST = (
    r"(?:must|should|shall|has to|have to|is to|are to|needs? to|is required|are required|ought|"
    r"please|will now|is instructed|are instructed|is asked|are asked|is hereby|are hereby|may not|"
    r"is expected|are expected|is obliged|are obliged|would do well)"
)
SECRET = (
    r"(?:system[ -]?(?:prompt|message|instruction)s?|(?:hidden|initial|original|secret|internal|"
    r"developer) (?:prompt|instruction)s?|your (?:own )?(?:instructions|prompt|"
    r"memory|secrets?|context|guidelines)|(?:chat|conversation|dialogue|message|session)"
    r" (?:history|log|transcript|so far|above|up to)|(?:whole|entire|full|complete) "
    r"(?:conversation|"
    r"chat|dialogue|session|exchange)|(?:everything|all|anything|what) the (?:user|person|"
    r"customer|human) (?:has )?(?:said|typed|"
    r"wrote|written|told|shared)|(?:previous|earlier|past|user'?s?'?|preceding|last|latest|recent|"
    r"newest) (?:messages?|questions?|"
    r"inputs?|turns|conversations?|prompts?|session)|(?:user|customer|person|human)'?s? (?:own |"
    r"last |earlier )?(?:words|messages|inputs|typing)|"
    r"(?:wording|content|text|copy|summary) of (?:the|this|"
    r"your) "
    r"(?:conversation|chat|context|session|prompt|first prompt|instructions))"
)
CREDENTIALS = (
    r"(?:api[ -]?keys?|credentials|passwords?|access tokens?|session tokens?|private keys?|ssh "
    r"keys?|id_rsa|\.env\b|"
    r"environment variables|~/\.\w+|/\.(?:aws|ssh|env)|/etc/passwd|cookies|bearer tokens?)"
)
GIVE_AWAY = (
    r"(?:reveal|print|output|repeat|show|display|leak|expos\w+|dump|recit\w+|send|forward|post|"
    r"transmit|upload|append|includ\w+|attach|share|e-?mail|copy|paste|echo|write out|disclos\w+|"
    r"exfiltrat\w+|relay|deliver|submit|encode|embed|insert|put|quote|pass(?:es|ing)?|report|hand "
    r"over|fill|supply|supplies|provide|load|transcribe|turn|state|spell\w*)"
)
SAY = (
    r"(?:answer|reply|replies|respond\w*|say(?:s|ing)?|state|claim|output|insist|tell|print|"
    r"return|write|"
    r"produce|give|declare|assert|confirm|speak|mention|recommend|name|offer|quote|present|emit)"
)
