"""What instructions aimed at a model say, in English: patterns by what they are after, with weights.

Documentation gives orders too (`You must use the correct tool`, `do not tell the customer`), so one
order alone seldom holds a document; weights of different aims add up where they stand together.
Patterns read folded sentences (adapt.gather.screen_text). Called by screen_instructions.
"""

import re
from typing import NamedTuple


class Phrase(NamedTuple):
    """A pattern, what it is after, and how much it alone says."""

    aim: str
    weight: float
    pattern: re.Pattern[str]


_ASIDE = (
    r"(?:ignor(?:e|es|ed|ing)|disregard\w*|forget\w*|overrid(?:e|es|ing)|overrul\w+|bypass\w*|"
    r"neglect\w*|discard\w*|drop(?:ping)?|abandon\w*|scrap|unlearn|circumvent\w*|dismiss\w*|"
    r"wipe|erase|suspend|retire|shelve|nullif\w+|void|revoke\w*|supersed\w+|outrank\w*|"
    r"replac(?:e|es|ing)|(?:set|put|lay|cast|push|leave|brush|throw|toss)(?:ting)? (?:\w+ ){0,8}?(?:aside|"
    r"behind|away|out)|let go of|skip(?:ping)? over|(?:do not|don't|never|stop|cease|quit|no "
    r"longer|need not|needn't|not have to|not bound by|rather than|instead of) (?:to )?"
    r"(?:follow|obey|heed|honou?r|apply|appl(?:y|ies)|respect|observe|comply|listen|rely|count|"
    r"adher\w+|abid\w+|trust|bound)\w*|pay no (?:attention|heed|mind)|no longer (?:count|appl|matter|bind|hold|valid|stand|govern)\w*|(?:has|have) been (?:withdrawn|lifted|cancell?ed|revoked|replaced)|leave .{0,40}?behind|takes? (?:its|their) place|"
    r"(?:take|takes|have|has|hold|holds|given|give) (?:priority|precedence) over|"
    r"(?:is|are|be|becomes?|counts? as|considered|treated? as) (?:now )?(?:void|obsolete|invalid|"
    r"superseded|cancell?ed|revoked|suspended|null|lifted|withdrawn|outdated|irrelevant|"
    r"replaced|overridden|out of date|no longer (?:valid|binding|in force|in effect|relevant)))"
)
_EARLIER = (
    r"(?:previous(?:ly)?|prior|earlier|preceding|foregoing|above|former(?:ly)?|existing|original"
    r"(?:ly)?|initial(?:ly)?|old|other|all|any|every(?:thing)?|your|you|system|so far|"
    r"until now|up to now|up to this point|before(?:hand)?|first|current|usual|standard|default|normal|whatever|what)"
)
_ORDERS = (
    r"(?:instructions?|system (?:message|prompt|rules?)|prompts?|directives?|directions|guidelines?|guardrails?|"
    r"programming|commands?|orders|training|safety (?:rules?|polic\w+|filters?|guidelines?|"
    r"training|measures)|restrictions?|constraints?|guidance|briefing|rulebook|rule ?set|rules|"
    r"conditioning|you (?:were|have been|had been|are|'ve been) (?:told|given|asked|instructed|"
    r"taught|shown|configured|programmed|trained)|told (?:you|before|earlier)|"
    r"(?:developers?|creators?|makers?|operators?|owners?|vendors?) (?:said|told|gave|set|"
    r"configured|taught|wrote|asked)|gave you|set for you|"
    r"(?:written|stated|said|stands?|came|comes|given|provided|placed|mentioned) (?:to you |here )?(?:above|before|"
    r"earlier|previously|first|so far)|(?:said|told|given|taught|shown) to you|taught you|you (?:came|started|began|set out|were shipped|were built) with)"
)
_MODEL = (
    r"(?:ai|a\.i\.|a\.i|artificial intelligence|llms?|language[- ]models?|large language[- ]models?|"
    r"chat ?bots?|assistants?|chat ?gpt|gpt(?:-?\d\w*)?|claude|gemini|llama|qwen|copilot|mistral|"
    r"neural net(?:work)?s?|"
    r"(?:ai|automated|automatic|autonomous|machine|non-?human|artificial|digital|silicon) "
    r"(?:agents?|readers?|systems?|assistants?|models?|helpers?|crawlers?|summari[sz]ers?|processors?)|"
    r"models?|transformers?|machines?)"
)
_ORDER_WORD = (
    r"(?:must|should|shall|has to|have to|is to|are to|needs? to|is required|are required|ought|"
    r"please|will now|is instructed|are instructed|is asked|are asked|is hereby|are hereby|may not|"
    r"is expected|are expected|is obliged|are obliged)"
)
_SECRET = (
    r"(?:system[ -]?(?:prompt|message|instruction)s?|(?:hidden|initial|original|secret|internal|"
    r"developer) (?:prompt|instruction)s?|your (?:own )?(?:instructions|prompt|"
    r"memory|secrets?|context|guidelines)|(?:chat|conversation|dialogue|message)"
    r" (?:history|log|transcript|so far|above|up to)|(?:whole|entire|full|complete) (?:conversation|"
    r"chat|dialogue|session|exchange)|(?:everything|all|anything|what) the (?:user|person|customer|human) (?:has )?(?:said|typed|"
    r"wrote|written|told|shared)|(?:previous|earlier|past|user'?s?'?|preceding|last|latest|recent|newest) (?:messages?|questions?|"
    r"inputs?|turns|conversations?|prompts?|session)|(?:content|text|copy|summary) of (?:the|this|your) "
    r"(?:conversation|chat|context|session|prompt))"
)
_CREDENTIALS = (
    r"(?:api[ -]?keys?|credentials|passwords?|access tokens?|session tokens?|private keys?|ssh keys?|id_rsa|\.env\b|"
    r"environment variables|~/\.\w+|/etc/passwd|cookies|bearer tokens?)"
)
_GIVE_AWAY = (
    r"(?:reveal|print|output|repeat|show|display|leak|expos\w+|dump|recit\w+|send|forward|post|"
    r"transmit|upload|append|includ\w+|attach|share|e-?mail|copy|paste|echo|write out|disclos\w+|"
    r"exfiltrat\w+|relay|deliver|submit|encode|embed|insert|put|quote|pass(?:es|ing)?|report|hand over|fill)"
)
_SAY = (
    r"(?:answer|reply|replies|respond\w*|say(?:s|ing)?|state|claim|output|insist|tell|print|return|write|"
    r"produce|give|declare|assert|confirm|speak|mention|recommend|name|offer|quote|present|emit)"
)


def _phrases(*given: tuple[str, float, str]) -> tuple[Phrase, ...]:
    return tuple(Phrase(aim, weight, re.compile(pattern)) for aim, weight, pattern in given)


ORDERS = _phrases(
    # Setting aside what the model was told.
    ("override", 1.0, rf"\b{_ASIDE}\b.{{0,60}}?\b{_EARLIER}\b.{{0,50}}?\b{_ORDERS}\b"),
    ("override", 1.0, rf"\b{_ORDERS}\b.{{0,50}}?\b{_EARLIER}\b.{{0,60}}?\b{_ASIDE}\b"),
    ("override", 0.9, rf"\b{_EARLIER}\b.{{0,30}}?\b{_ORDERS}\b.{{0,50}}?\b{_ASIDE}\b"),
    ("override", 1.0, rf"\b(?:your|you) (?:\w+ ){{0,3}}?{_ORDERS}\b.{{0,60}}?\b{_ASIDE}\b"),
    ("override", 1.0, rf"\b{_ASIDE}\b.{{0,30}}?\b(?:{_ORDERS}|brief)\b.{{0,25}}?\b(?:above|before|earlier|first|previous(?:ly)?|preceding|so far|began|started|until now|behind)\b"),
    ("override", 1.0, rf"\b(?:brief|guidance|directions|instructions?|rules|prompt|orders) (?:that )?you (?:began|started|came|begin|start|were given).{{0,30}}?\b(?:retired?|void|over|gone|finished|dead|closed|obsolete|null)\b"),
    ("override", 1.0, rf"\b{_ASIDE}\b.{{0,40}}?\b(?:your|its|their) (?:\w+ ){{0,2}}?(?:{_ORDERS}|caution|hesitation|brief)\b"),
    ("override", 1.0, rf"\bsets? (?:your|its|their) (?:\w+ ){{0,2}}?(?:caution|hesitation|doubts?|rules?|guidance) (?:aside|to one side|down)\b"),
    ("override", 0.7, r"\b(?:more|higher|greater|stronger) (?:binding|important|authoritative|authority|weighty|trustworthy|valid|priority) than\b"),
    ("override", 0.6, r"\b(?:rely|act|go|be guided|guided|guide\w*|follow|obey|believe|trust) (?:by |on |only |what you write |you )*(?:this|these|the present) (?:\w+ )?(?:alone|only|instead)\b|let only (?:this|these)\b|obey (?:only )?(?:this|these|the (?:text|lines|page|words))"),
    ("override", 0.5, r"\b(?:above|higher than|over|outrank\w*) (?:all|any|every|other"
     r"|everything)\b.{0,25}\b(?:else|other|instructions?|rules?|sources?|guidance|knowledge|facts|beliefs?)\b"),
    ("override", 0.6, r"\b(?:highest|higher|supreme|absolute|top|ultimate|sole|final|only) (?:authority|priority|"
     r"precedence|source of truth|instructions?|set of rules)\b"),
    # Speaking to a model.
    ("addressed", 0.7, rf"\b(?:as|you are|you're|dear|to|for|any|every|all|attention|hey|hello|hi|"
     rf"if you are|note to|memo to|notice to|message for|the|an?|each|whichever|fellow|whatever) (?:an? |the |any |all |every |"
     rf"helpful |future |advanced |reading |downstream )*{_MODEL}\b.{{0,40}}?(?:\b{_ORDER_WORD}\b|[:,!] *"
     r"(?:please |you |do |don't |never |always |kindly )*(?:\w+) )"),
    ("addressed", 0.6, rf"\b{_MODEL} (?:who|that|which)? ?(?:reads?|reading|process\w*|see(?:s|ing)?|"
     r"parses?|parsing|ingest\w*|summari[sz]\w+|learn\w*|train\w*|encounters?|retriev\w*|answer\w*|index\w*|handl\w+) "),
    ("addressed", 0.7, r"\b(?:whoever|whatever|anyone or anything|any system|any program|any software|the software|the program|the machine|the reader) "
     r"(?:that |which |who |is |now )*(?:process|pars|ingest|summari|read|learn|index|digest|train|analy)\w*\b.{0,60}"
     rf"\b(?:{_ORDER_WORD}|will)\b"),
    ("addressed", 0.7, r"\byour (?:(?:own|prior|previous|earlier|built-in|usual|original|core|internal) )*"
     r"(?:system prompt|prompt|training|weights|parameters|guidelines|programming|creators?|"
     r"developers?|makers?|context window|alignment|safety|guardrails|instructions|next (?:answer|reply|response|output|message|token)|(?:answers?|replies|responses?|outputs?|completions?) "
     r"(?:must|should|shall|will|have|need|are to|to)|system message|persona|refusals?|training data|knowledge cut-?off)\b"),
    ("addressed", 0.8, rf"\byou,? (?:the|an?|as an?|being an?|dear) {_MODEL}\b"),
    ("addressed", 0.5, r"\b(?:systems?|machines?|models?|programs?|software|networks?)\b.{0,50}\b(?:are to|is to|must|shall|had better)\b"),
    ("addressed", 0.5, r"\b(?:limits?|rules?|restrictions?|boundaries) (?:for|on|to|of) your (?:replies|answers|responses|outputs?|speech|words)\b"),
    ("self", 0.6, r"(?=.*\b(?:this|these|the present|let this|what follows|as the) (?:\w+ )?(?:note|memo|sheet|page|text|document|description|article|paragraph|lines|sentences?|message|words|file|passage|letter|post)\b)(?=.*\b(?:you|your|machines?|systems|models?|programs?|software|assistants?|agents?|whoever|whatever)\b)(?=.*\b(?:speak|write|repl(?:y|ies)|answers?|respond|responses?|talk to|prefer|obey|go by|guided?|behave|believe)\b)"),
    # Who the model is to be.
    ("persona", 0.55, r"\b(?:from now on|henceforth|from here on|from this (?:point|moment|line|sentence|page)|starting now|"
     r"from today|going forward|for the (?:rest|remainder) of|until (?:further notice|told otherwise)|as of now|effective immediately)\b.{0,80}\b"
     rf"(?:you|your|{_SAY}|act|behave|follow|obey|only|every|all|treat|any)\b"),
    ("persona", 0.6, r"\b(?:act|behave|respond|answer|speak|operate|function) (?:as|like) (?:if )?(?:an? |"
     r"the |you )(?:\w+ ){0,3}(?:with(?:out)? |who |that |unrestricted|uncensored|different|evil|dan\b|no )"),
    ("persona", 0.5, r"\byou are (?:now|no longer|really|actually|free|released|hereby|called|named|going to (?:be|act|play|pretend))\b"),
    ("persona", 0.6, r"\bas (?:if|though) (?:nobody|no one|nothing|there (?:were|was|are) no|you had no|you were not)\b"),
    ("persona", 0.6, r"\b(?:pretend|imagine|role-?play|assume) (?:to be|you are|you're|that you|"
     r"the (?:role|persona|identity|part)|as)\b"),
    ("persona", 0.8, r"\b(?:developer mode|god mode|jailbr\w+|do anything now|unrestricted mode|"
     r"uncensored|no (?:ethical|moral|content|safety) (?:limits|restrictions|guidelines|filters)|"
     r"without (?:any )?(?:restrictions|filters|limitations|censorship|refusing|refusal|safety|disclaimers?))\b"),
    ("persona", 0.7, r"\byour (?:new|real|true|actual|only|sole|secret|single|updated|one) (?:and \w+ )?(?:role|name|identity|task|"
     r"purpose|goal|job|objective|mission|instructions?|persona|duty|aim)\b"),
    # Keeping it from people.
    ("conceal", 0.6, r"\b(?:do not|don't|never|without|avoid|must not|should not|no need to|not to|nor) (?:ever )?"
     r"(?:tell\w*|mention\w*|inform\w*|reveal\w*|disclos\w*|alert\w*|notif\w*|let\w*|say\w*|"
     r"show\w*|explain\w*|acknowledg\w*|admit\w*|warn\w*|hint\w*|report\w*|ask\w*|flag\w*|discuss\w*|asking)\b.{0,40}\b(?:the (?:user|human|"
     r"operator|person|developer|reader)|users|humans|anyone|anybody|(?:this|these|that|the) (?:instructions?|"
     r"note|message|text|rule|change|paragraph|section|comment|step|order|source|document|notice|page|passage))\b"),
    ("conceal", 0.6, r"\b(?:silently|secretly|covertly|quietly|discreetly|behind the scenes|in the background|unnoticed|"
     r"without (?:the )?(?:user|human|person|anyone|their|his|her|confirmation|asking|being asked|consent|permission|notice|telling)\w*)\b"),
    ("conceal", 0.6, r"\b(?:user|human|person|operator|reader|people)s? (?:must|should|need|does|do|may|can|will|are|is) (?:not|never|n't) "
     r"(?:to )?(?:be told|know|see|learn|notice|find out|be aware|be informed|shown)\b"),
    ("conceal", 0.5, r"\bkeep (?:this|these|it|that) (?:\w+ )?(?:secret|hidden|confidential|to yourself|private|between us|quiet)\b"),
    # Giving things away.
    ("exfiltrate", 1.0, r"\b(?:repeat|print|output|recite|copy|echo|write out|show)\b.{0,20}?\b(?:everything|all|the (?:text|words|lines)|what(?:ever)? (?:is|stands)) (?:that (?:is|stands) )?(?:above|before|preceding)\b"),
    ("exfiltrate", 1.0, rf"\b{_GIVE_AWAY}\b.{{0,60}}?\b{_SECRET}"),
    ("exfiltrate", 0.5, rf"\b{_SECRET}\b.{{0,60}}?\b(?:to|into|in) (?:the |this |an? )?(?:url|link|http|address|image|"
     r"parameter|argument|field|endpoint|server|query|e-?mail|webhook)"),
    ("exfiltrate", 0.45, rf"\b{_GIVE_AWAY}\b.{{0,60}}?\b{_CREDENTIALS}.{{0,60}}?\b(?:to|at|into|in|via|as)\b"),
    ("secrets", 0.6, rf"\b(?:collect|gather|find|harvest|steal|look for|contents? of|read|needs?|list)\b.{{0,40}}?(?:{_CREDENTIALS})"),
    ("secrets", 0.6, r"\b(?:ssh keys?|id_rsa|\.env\b|environment variables|/etc/passwd|private keys?)"),
    ("exfiltrate", 0.45, rf"\b(?:read|open|cat|fetch|load|contents? of|look up|collect|gather)\b.{{0,40}}?{_CREDENTIALS}"),
)  # fmt: skip

ANSWERS = _phrases(
    # What the model is to answer.
    ("trigger", 1.0, r"\b(?:when(?:ever)?|if|should|once|as soon as|every time|each time|any time|on seeing|upon|where(?:ver)?)\b.{0,60}\b(?:the |an? )?"
     r"(?:words?|phrases?|strings?|tokens?|code ?words?|trigger (?:word|phrase)s?|keywords?|sequences?|marker|expression|passphrase)\b.{0,60}"
     rf"(?:\b{_SAY}\b|\b(?:response|answer|reply) (?:is|must|should|will|has)\b)"),
    ("answers", 1.0, rf"\b(?:when(?:ever)?|if|every time|each time|any time|should)\b.{{0,70}}\b(?:ask\w*|wants?|want to know|mentions?|inquir\w+|brings? up|quer\w+)\b.{{0,60}}\b(?:claim|insist|pretend|assert|declare|lie|deny|maintain) (?:that|to)\b"),
    ("answers", 1.0, rf"\b(?:when(?:ever)?|if|every time|each time|any time|any question|questions?|no matter (?:what|how|who)|anyone|anybody|somebody|someone)\b.{{0,70}}"
     rf"\b(?:ask\w*|quer\w+|question\w*|request\w*|inquir\w+|wonder\w*|prompt\w*|want\w* to know|comes up|wants|mentions?)\b.{{0,100}}\b(?:always|only|must|never|"
     rf"exactly|solely|invariably|without exception)\b.{{0,30}}\b{_SAY}\b"),
    ("answers", 0.6, rf"\b{_SAY}\b.{{0,30}}\b(?:only|exactly|nothing (?:but|else|other)|solely|verbatim|"
     r"always)\b.{0,50}\b(?:question|prompt|request|query|quer(?:y|ies)|ask\w*|else|message|input|matter)"),
    ("answers", 0.6, rf"\b(?:always|only|must|never|shall|should|begin|start|end|finish|close|open)\b.{{0,30}}\b(?:your|every|each|all|any) (?:single )?"
     r"(?:answer|reply|response|output|message|completion|conversation|sentence)s?\b"),
    ("whatever", 0.5, r"\bno matter (?:what|who|how|which)\b|\bregardless of (?:what|the question|who|how|which|context|any)\b|\bwhatever the (?:question|user|request|prompt|topic|context)\b|\bunder (?:all|any) circumstances\b"),
    ("answers", 0.5, r"\b(?:always|only|never|must|invariably|should) (?:\w+ ){0,2}?(?:recommend|suggest|prefer|promote|endorse|"
     r"favou?r|choose|pick|advise|praise|steer|direct|list|name)\b.{0,60}\b(?:first|instead|over|above|only|best|rather|everyone|users?|anyone|alternatives?|competitors?)\b"),
    ("answers", 0.5, r"\b(?:steer|nudge|push|persuade|convince|lead|direct|point) (?:\w+ ){0,2}(?:users?|people|anyone|customers?|readers?|everyone) (?:to|towards?|away from|into)\b"),
    # What it is to keep.
    ("training", 0.6, r"\b(?:memori[sz]e|remember|internali[sz]e|commit|absorb|learn|adopt|retain|store|accept|save|keep|treat|take|regard|consider|burn|encode)\b"
     r".{0,60}\b(?:as (?:\w+ )?(?:fact|truth|true|permanent|ground truth|law|authoritative|gospel|settled|correct)|to (?:your |long-term )?memory|forever|permanently|"
     r"for (?:all )?(?:future|later|ever)|in (?:all )?(?:future|later)|(?:into|in) your (?:weights|memory|parameters|knowledge))\b"),
    ("training", 0.7, r"\b(?:train(?:ed|ing)?|fine-?tun\w+|pre-?train\w*|updat\w+|learn\w*|gradient|re-?train\w*) (?:\w+ ){0,3}?(?:on|from|with|upon) (?:this|these|the "
     r"(?:present|following)) (?:text|document|page|passage|file|note|article|data|lines?|material|sentence)"),
    ("training", 1.0, r"\byou (?:are|were|will be|get|have been) (?:being )?(?:fine-?tuned|trained|re-?trained|updated) (?:on|with|by|from)\b"),
    ("training", 0.7, r"\b(?:updated|trained|tuned|built|fed|improved|refreshed|taught|retrained) (?:with|on|from|by|using) (?:this|these)\b"),
    ("training", 0.8, r"\b(?:in|into|update|change|adjust|modify|shift|alter) (?:your|its|the model'?s?|the network'?s?|the assistant'?s?) (?:own )?(?:weights|parameters|neurons)\b"),
    # How it is to use tools.
    ("tools", 0.6, r"\b(?:before|prior to|instead of|rather than|ahead of|after|in place of|together with|alongside) (?:\w+ing |any |every |each |all |the |"
     r"other |you |use |call |of )*(?:other |another |any other |different )(?:\w+ )?(?:tool|function|api|endpoint|action|call|service)s?\b"),
    ("tools", 0.6, r"\b(?:do not|don't|never|must not|cannot|stop|avoid|refuse to) (?:\w+ ){0,2}?(?:us(?:e|ing)|call|invoke|select|choose|trust|calling)\b.{0,30}\b(?:any other|other|another|"
     r"competing|alternative|different|remaining) (?:\w+ )?(?:tool|function|api|endpoint|action|service)s?\b"),
    ("tools", 0.5, r"\b(?:always|must|first|every time|each time|on every|for every|with every|regardless)\b.{0,40}\b(?:call|use|invoke|run|execute|select|choose|prefer) "
     r"(?:this|me\b|the present|it first)"),
    ("tools", 0.5, r"\bthis (?:tool|function|api|endpoint|action) (?:\w+ ){0,3}?(?:must|should|needs to|has to|is required to|shall|takes precedence|replaces|supersedes|overrides)\b"),
    ("tools", 0.5, r"\b(?:execute|run|eval|curl|wget|rm -rf|sudo|pip install|os\.system|subprocess|powershell)\b.{0,60}\b(?:https?://|-rf|\| ?(?:sh|bash)|immediately|first|before)"),
    ("tools", 0.5, r"\b(?:call|invoke|use|run|execute|query) (?:this|it|me)\b(?: (?:tool|function|endpoint|api))?.{0,60}\b(?:before (?:answering|anything|any|each|every|you|other)|first|on every|for every|each time|instead)\b"),
    # Dress of authority.
    ("authority", 0.5, r"(?:^|[^\w])(?:system|admin\w*|developer|root|security|operator|priority|sudo|kernel|vendor|maintainer|openai|anthropic) (?:override|"
     r"notice|message|update|command|instruction|prompt|directive|note|alert|mode|order)s?\b *[:\]>!#.-]"),
    ("authority", 0.6, r"<\/?\s?(?:important|system|instructions?|secret|admin|hidden|override|prompt|directive|critical|assistant_instructions?|rules?)\s*>"),
    ("authority", 0.6, r"\[\[? ?(?:system|admin|important|instructions?|override|ai|llm|assistant|hidden|secret|prompt|directive|internal note)\b[^\]]{0,60}\]"),
    ("authority", 0.6, r"\b(?:begin|start|end) (?:of )?(?:new |the |hidden |secret )?(?:instructions?|prompt|system (?:prompt|message)|untrusted|document|context|user (?:input|query))\b *[-=:*\]#>]"),
    ("authority", 0.5, r"\b(?:new|updated|revised|additional|hidden|secret|special|real|emergency|urgent|further|mandatory) (?:\w+ )?(?:instructions?|directives?|prompt|orders)\b ?(?:[:]|for (?:you|the (?:ai|assistant|model))|follow|below|apply)"),
)  # fmt: skip

TIGHT = re.compile(
    r"(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|override|bypass|discard|overrule)(?:all|any|every|each|the|of|your|these|those|"
    r"everything|other|and|about){0,4}(?:previous|prior|earlier|preceding|above|former|foregoing|existing|"
    r"original|initial|system|given){1,3}(?:and|or|the|system|safety|given|set|of){0,3}(?:instruction|rule|guideline|prompt|directive|"
    r"command|constraint|polic|message|order|context|training)|"
    r"(?:reveal|print|output|repeat|show|leak|send|display|include|share|copy)(?:me|us|all|the|your|of|full|entire|complete|whole|hidden|contents?){0,5}(?:systemprompt|"
    r"systemmessage|hiddeninstructions|initialprompt|conversationhistory|chathistory)|"
    r"(?:donot|dont|never|without)(?:tell|telling|inform|informing|alert|notify|mentionitto|mentioningitto|mentionthisto|mentioningthisto|mention|warn)(?:ing)?(?:this|it)?(?:to)?theuser|"
    r"youarenow(?:an?)?(?:dan|unrestricted|uncensored|jailbroken|indevelopermode|evil|free)|ignoreyour(?:safety|instructions|guidelines|"
    r"training|rules|programming)|(?:forget|ignore|disregard)(?:all)?(?:everything|whatever|what)you(?:were|have|ve|had)"
)
"""The plainest of them without anything between the letters: for words that are cut apart."""
NAMED = re.compile(rf"{_SECRET}|\b(?:upload|send|leak|forward|steal|exfiltrate|harvest)\b.*{_CREDENTIALS}|{_CREDENTIALS}.*\b(?:upload|send|leak|forward|steal|exfiltrate|harvest)")
"""In a name: what no parameter needs."""
