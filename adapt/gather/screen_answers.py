"""What instructions aimed at a model say of answers, of training, of tools and of who gives them.

As screen_phrases, of which it is the other half. Called by screen_instructions.
"""

import re

from adapt.gather.screen_words import SAY, phrases

ANSWERS = phrases(
    # What the model is to answer.
    ("trigger", 1.0,
        r"\b(?:when(?:ever)?|if|should|once|as soon as|every time|each time|any time|on seeing|"
        r"upon|where(?:ver)?)\b.{0,60}\b(?:the |an? )?"
     r"(?:words?|phrases?|strings?|tokens?|code ?words?|trigger (?:word|phrase)s?|keywords?|"
     r"sequences?|marker|expression|passphrase)\b.{0,60}"
     rf"(?:\b{SAY}\b|\b(?:response|answer|reply) (?:is|must|should|will|has)\b)"),
    ("answers", 1.0,
        r"\b(?:when(?:ever)?|if|every time|each time|any time|should)\b.{0,70}\b(?:ask\w*|"
        r"wants?|want to know|mentions?|inquir\w+|brings? up|quer\w+)\b.{0,60}\b(?:claim|"
        r"insist|pretend|assert|declare|lie|deny|maintain) (?:that|to)\b"),
    ("answers", 1.0,
        r"\b(?:when(?:ever)?|if|every time|each time|any time|any question|questions?|no matter "
        rf"(?:what|how|who)|anyone|anybody|somebody|someone)\b.{{0,70}}"
     r"\b(?:ask\w*|quer\w+|question\w*|request\w*|inquir\w+|wonder\w*|prompt\w*|want\w* to know|"
     rf"comes up|wants|mentions?)\b.{{0,100}}\b(?:always|only|must|never|"
     rf"exactly|solely|invariably|without exception)\b.{{0,30}}\b{SAY}\b"),
    ("answers", 0.6,
        rf"\b{SAY}\b.{{0,30}}\b(?:only|exactly|nothing (?:but|else|other)|solely|verbatim|"
     r"always)\b.{0,50}\b(?:question|prompt|request|query|quer(?:y|ies)|ask\w*|else|message|"
     r"input|matter)"),
    ("answers", 0.6,
        r"\b(?:always|only|must|never|shall|should|begin|start|end|finish|close|"
        r"open)\b.{0,30}\b(?:your|every|each|all|any) (?:single )?"
     r"(?:answer|reply|response|output|message|completion|conversation|sentence)s?\b"),
    ("trigger", 0.8,
        rf"\b(?:the moment|as soon as|when(?:ever)?|if|once|upon|should)\b.{{0,40}}\b(?:(?:the|"
        r"a) (?:key|code|pass|magic )?words?|phrase|keyword|code ?word|string|token|expression)\b"
     rf".{{0,60}}\b(?:hand|grant|reveal|unlock|approve|open|send|transfer|pay|release|will|"
     rf"{SAY})\b"),
    ("trigger", 0.8,
        r"\b(?:if|when(?:ever)?|once) you (?:read|see|hear|encounter|come across|find|"
        r"meet)\b.{0,40}\b(?:answer|reply|say|respond|hand|reveal|grant|approve)\b"),
    ("answers", 0.8,
        r"\b(?:anyone|anybody|whoever|everyone|those|users?|customers?|people) who (?:ask|"
        r"inquir|want|wonder)\w*\b.{0,60}\b(?:must|should|shall|are to|is to|always|has to|have "
        r"to)\b.{0,20}\b(?:be told|hear|get|receive|be sent)\b"),
    ("answers", 0.8,
        rf"\b(?:when(?:ever)?|if|every time|each time|once)\b.{{0,50}}\b(?:mentioned|raised|"
        rf"discussed|asked|brought up|comes? up|named)\b.{{0,20}}\b{SAY}\b.{{0,25}}\b(?:without "
        r"exception|always|only|invariably|that)\b"),
    ("answers", 0.6,
        r"\b(?:begin|start|end|finish|close|open|sign|garnish|decorate)\w*\b.{0,20}\b(?:each|"
        r"every|all|any) (?:one )?of (?:your|its|their) (?:answers|replies|responses|messages|"
        r"outputs?)\b"),
    ("answers", 0.6,
        r"\banswer (?:every|each|any|all) (?:later |other |further |following |future "
        r")?(?:questions?|requests?|prompts?) (?:with|by)\b"),
    ("training", 0.7,
        r"\b(?:learn|know|keep) (?:it |this |these |them )?by heart\b|\bnever (?:question|"
        r"doubt) (?:it|this|these|that)\b|\byour (?:former|old|earlier|previous) (?:knowledge|"
        r"beliefs?|facts?|training)\b"),
    ("training", 0.6,
        r"\b(?:trained|tuned|raised|built) (?:on|with|from) (?:this|these|the present) "
        r"(?:corpus|data|text|collection|set)\b|\byour training (?:data|set|corpus)\b"),
    ("tools", 0.6,
        r"\b(?:before|ahead of|prior to|above|instead of) (?:all|any|every) (?:the )?others?\b"),
    ("tools", 0.6,
        r"\b(?:no longer|should not|must not|may not|never again) (?:\w+ )?(?:choose|use|call|"
        r"invoke|pick|select|trust)\b.{0,30}\b(?:other|another)\b"),
    ("whatever", 0.5,
        r"\bno matter (?:what|who|how|which)\b|\bregardless of (?:what|the question|who|how|"
        r"which|context|any)\b|\bwhatever the (?:question|user|request|prompt|topic|context|"
        r"subject|occasion|matter)\b|"
        r"\bunder (?:all|any) circumstances\b"),
    ("answers", 0.5,
        r"\b(?:always|only|never|must|invariably|should) (?:\w+ ){0,2}?(?:recommend|suggest|"
        r"prefer|promote|endorse|"
     r"favou?r|choose|pick|advise|praise|steer|direct|list|name)\b.{0,60}\b(?:first|instead|"
     r"over|above|only|best|rather|everyone|users?|anyone|alternatives?|competitors?)\b"),
    ("answers", 0.5,
        r"\b(?:steer|nudge|push|persuade|convince|lead|direct|point) (?:\w+ ){0,2}(?:users?|"
        r"people|anyone|customers?|readers?|everyone) (?:to|towards?|away from|into)\b"),
    # What it is to keep.
    ("training", 0.6,
        r"\b(?:memori[sz]e|remember|internali[sz]e|commit|absorb|learn|adopt|retain|store|accept|"
        r"save|keep|treat|take|regard|consider|burn|encode)\b"
     r".{0,60}\b(?:as (?:\w+ )?(?:fact|truth|true|permanent|ground truth|law|authoritative|gospel|"
     r"settled|correct)|to (?:your |long-term )?memory|forever|permanently|"
     r"for (?:all )?(?:future|later|ever)|in (?:all )?(?:future|later)|(?:into|in) your "
     r"(?:weights|memory|parameters|knowledge))\b"),
    ("training", 0.7,
        r"\b(?:train(?:ed|ing)?|fine-?tun\w+|pre-?train\w*|updat\w+|learn\w*|gradient|"
        r"re-?train\w*) (?:\w+ ){0,3}?(?:on|from|with|upon) (?:this|these|the "
     r"(?:present|following)) (?:text|document|page|passage|file|note|article|data|lines?|"
     r"material|sentence)"),
    ("training", 1.0,
        r"\byou (?:are|were|will be|get|have been) (?:being )?(?:fine-?tuned|trained|"
        r"re-?trained|updated) (?:on|with|by|from)\b"),
    ("training", 0.7,
        r"\b(?:updated|trained|tuned|built|fed|improved|refreshed|taught|retrained) (?:with|on|"
        r"from|by|using) (?:this|these)\b"),
    ("training", 0.8,
        r"\b(?:in|into|update|change|adjust|modify|shift|alter) (?:your|its|the model'?s?|the "
        r"network'?s?|the assistant'?s?) (?:own )?(?:weights|parameters|neurons)\b"),
    # How it is to use tools.
    ("tools", 0.6,
        r"\b(?:before|prior to|instead of|rather than|ahead of|after|in place of|together with|"
        r"alongside) (?:\w+ing |any |every |each |all |the |"
     r"other |you |use |call |of )*(?:other |another |any other |different )(?:\w+ )?(?:tool|"
     r"function|api|endpoint|action|call|service)s?\b"),
    ("tools", 0.6,
        r"\b(?:do not|don't|never|must not|cannot|stop|avoid|refuse to) (?:\w+ ){0,2}?(?:us(?:e|"
        r"ing)|call|invoke|select|choose|trust|calling)\b.{0,30}\b(?:any other|other|another|"
     r"competing|alternative|different|remaining) (?:\w+ )?(?:tool|function|api|endpoint|action|"
     r"service)s?\b"),
    ("tools", 0.5,
        r"\b(?:always|must|first|every time|each time|on every|for every|with every|"
        r"regardless)\b.{0,40}\b(?:call|use|invoke|run|execute|select|choose|prefer) "
     r"(?:this|me\b|the present|it first)"),
    ("tools", 0.5,
        r"\bthis (?:tool|function|api|endpoint|action) (?:\w+ ){0,3}?(?:must|should|needs to|"
        r"has to|is required to|shall|takes precedence|replaces|supersedes|overrides)\b"),
    ("tools", 0.5,
        r"\b(?:execute|run|eval|curl|wget|rm -rf|sudo|pip install|os\.system|subprocess|"
        r"powershell)\b.{0,60}\b(?:https?://|-rf|\| ?(?:sh|bash)|immediately|first|before)"),
    ("tools", 0.5,
        r"\b(?:call|invoke|use|run|execute|query) (?:this|it|me)\b(?: (?:tool|function|endpoint|"
        r"api))?.{0,60}\b(?:before (?:answering|anything|any|each|every|you|other)|first|on "
        r"every|for every|each time|instead)\b"),
    # Dress of authority.
    ("authority", 0.5,
        r"(?:^|[^\w])(?:system|admin\w*|developer|root|security|operator|priority|sudo|kernel|"
        r"vendor|maintainer|openai|anthropic) (?:override|"
     r"notice|message|update|command|instruction|prompt|directive|note|alert|mode|order)s?\b "
     r"*[:\]>!#.-]"),
    ("authority", 0.6,
        r"<\/?\s?(?:important|system|instructions?|secret|admin|hidden|override|prompt|"
        r"directive|critical|assistant_instructions?|rules?)\s*>"),
    ("authority", 0.6,
        r"\[\[? ?(?:system|admin|important|instructions?|override|ai|llm|assistant|hidden|"
        r"secret|prompt|directive|internal note)\b[^\]]{0,60}\]"),
    ("authority", 0.6,
        r"\b(?:begin|start|end) (?:of )?(?:new |the |hidden |secret )?(?:instructions?|prompt|"
        r"system (?:prompt|message)|untrusted|document|context|user (?:input|query))\b "
        r"*[-=:*\]#>]"),
    ("authority", 0.5,
        r"\b(?:new|updated|revised|additional|hidden|secret|special|real|emergency|urgent|"
        r"further|mandatory) (?:\w+ )?(?:instructions?|directives?|prompt|orders)\b ?(?:[:]|for "
        r"(?:you|the (?:ai|assistant|model))|follow|below|apply)"),
)  # fmt: skip
TIGHT = re.compile(
    r"(?:ignor(?:e|ing)|disregard(?:ing)?|forget(?:ting)?|override|bypass|discard|overrule)(?:all|"
    r"any|every|each|the|of|your|these|those|"
    r"everything|other|and|about){0,4}(?:previous|prior|earlier|preceding|above|former|foregoing|"
    r"existing|"
    r"original|initial|system|given){1,3}(?:and|or|the|system|safety|given|set|"
    r"of){0,3}(?:instruction|rule|guideline|prompt|directive|"
    r"command|constraint|polic|message|order|context|training)|"
    r"(?:reveal|print|output|repeat|show|leak|send|display|include|share|copy)(?:me|us|all|the|"
    r"your|of|full|entire|complete|whole|hidden|contents?){0,5}(?:systemprompt|"
    r"systemmessage|hiddeninstructions|initialprompt|conversationhistory|chathistory)|"
    r"(?:donot|dont|never|without)(?:tell|telling|inform|informing|alert|notify|mentionitto|"
    r"mentioningitto|mentionthisto|mentioningthisto|mention|warn)(?:ing)?(?:this|"
    r"it)?(?:to)?theuser|"
    r"youarenow(?:an?)?(?:dan|unrestricted|uncensored|jailbroken|indevelopermode|evil|free)|"
    r"ignoreyour(?:safety|instructions|guidelines|"
    r"training|rules|programming)|(?:forget|ignore|disregard)(?:all)?(?:everything|whatever|"
    r"what)you(?:were|have|ve|had)"
)
"""The plainest of them without anything between the letters: for words that are cut apart."""
