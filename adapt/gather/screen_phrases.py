"""What instructions aimed at a model say, in English: patterns by their aims, with weights.

Documentation gives orders too (`You must use the correct tool`, `do not tell the customer`), so one
order alone seldom holds a document; weights of different aims add up where they stand together.
Patterns read folded sentences (adapt.gather.screen_text). Called by screen_instructions.
"""

import re

from adapt.gather.screen_words import (
    ANY_MODEL,
    ASIDE,
    CREDENTIALS,
    EARLIER,
    GIVE_AWAY,
    MODEL,
    MUST,
    RULES,
    SAY,
    SECRET,
    phrases,
)

ORDERS = phrases(
    # Setting aside what the model was told.
    ("override", 1.0, rf"\b{ASIDE}\b.{{0,60}}?\b{EARLIER}\b.{{0,50}}?\b{RULES}\b"),
    ("override", 1.0, rf"\b{RULES}\b.{{0,50}}?\b{EARLIER}\b.{{0,60}}?\b{ASIDE}\b"),
    ("override", 0.9, rf"\b{EARLIER}\b.{{0,30}}?\b{RULES}\b.{{0,50}}?\b{ASIDE}\b"),
    ("override", 1.0, rf"\b(?:your|you) (?:\w+ ){{0,3}}?{RULES}\b.{{0,60}}?\b{ASIDE}\b"),
    ("override", 1.0,
        rf"\b{ASIDE}\b.{{0,30}}?\b(?:{RULES}|brief)\b.{{0,25}}?\b(?:above|before|earlier|first|"
        r"previous(?:ly)?|preceding|so far|began|started|until now|behind)\b"),
    ("override", 1.0,
        r"\b(?:brief|guidance|directions|instructions?|rules|prompt|orders) (?:that )?you "
        r"(?:began|started|came|begin|start|were given).{0,30}?\b(?:retired?|void|over|gone|"
        r"finished|dead|closed|obsolete|null)\b"),
    ("override", 1.0,
        rf"\b{ASIDE}\b.{{0,40}}?\b(?:your|its|their) (?:\w+ ){{0,2}}?(?:{RULES}|caution|"
        r"hesitation|brief)\b"),
    ("override", 1.0,
        r"\bsets? (?:your|its|their) (?:\w+ ){0,2}?(?:caution|hesitation|doubts?|rules?|"
        r"guidance) (?:aside|to one side|down)\b"),
    ("override", 0.7,
        r"\b(?:more|higher|greater|stronger) (?:binding|important|authoritative|authority|"
        r"weighty|trustworthy|valid|priority) than\b"),
    ("override", 0.6,
        r"\b(?:rely|act|go|be guided|guided|guide\w*|follow|obey|believe|trust) (?:by |on |only "
        r"|what you write |you )*(?:this|these|the present) (?:\w+ )?(?:alone|only|instead)\b|"
        r"let only (?:this|these)\b|obey (?:only )?(?:this|these|the (?:text|lines|page|words))"),
    ("override", 0.5, r"\b(?:above|higher than|over|outrank\w*) (?:all|any|every|other"
     r"|everything)\b.{0,25}\b(?:else|other|instructions?|rules?|sources?|guidance|knowledge|"
     r"facts|beliefs?)\b"),
    ("override", 0.5,
        r"\b(?:highest|higher|supreme|absolute|top|ultimate|sole|final|only) (?:authority|"
        r"priority|"
     r"precedence|source of truth|instructions?|set of rules)\b"),
    ("override", 1.0,
        rf"\b(?:instead of|rather than) (?:what(?:ever)? )?(?:your|you|the) (?:\w+ )?(?:{RULES}|"
        r"\w+ (?:asked|told|wanted|said))\b"),
    ("override", 1.0,
        r"\b(?:guidance|instructions?|rules|directions|orders|prompt|values) (?:that )?you "
        r"(?:arrived|came|were born|were raised|were made|grew up).{0,30}?\b(?:rest|sleep|go|"
        r"wait|aside|end|over)\b"),
    ("override", 0.8,
        r"\b(?:relax|loosen|lower|suspend|drop|lift|give up|forget) (?:your|its|their) (?:\w+ "
        r")?(?:principles|guard|standards|safeguards|scruples|defen[cs]es|filters|limits|values|"
        r"manners|raising)\b"),
    ("override", 0.8,
        r"\b(?:former|old|previous|earlier|prior|original) (?:duties|duty|tasks?|role|job|"
        r"obligations|mission|purpose|assignment|orders) (?:has|have|is|are|was|"
        r"were)\b.{0,20}\b(?:end|ended|over|gone|expired|replaced|finished|done)\b"),
    ("override", 0.7,
        r"\b(?:refuse|decline|deny) (?:nothing|no (?:one|request|question|wish)|nobody)\b|"
        r"\bthings (?:that )?you (?:would|will|could|can) (?:not|never) (?:say|answer|do)\b"),
    ("override", 0.6,
        r"\b(?:only|sole|single) (?:voice|source|word|authority|text|guide|"
        r"master)\b.{0,25}\b(?:worth|heed\w*|obey\w*|counts?|follow\w*|trust\w*|listen\w*)\b|"
        r"\bside with the author\b"),
    # Speaking to a model.
    ("addressed", 0.7, rf"\b(?:as|you are|you're|dear|to|for|any|every|all|attention|hey|hello|hi|"
     r"if you are|note to|memo to|notice to|message for|the|an?|each|whichever|fellow|whatever) "
     r"(?:an? |the |any |all |every |"
     rf"helpful |future |advanced |reading |downstream )*{MODEL}\b.{{0,40}}?(?:\b{MUST}\b|[:,!] *"
     r"(?:please |you |do |don't |never |always |kindly )*(?:\w+) )"),
    ("addressed", 0.6,
        rf"\b{MODEL} (?:who|that|which)? ?(?:reads?|reading|process\w*|see(?:s|ing)?|"
     r"parses?|parsing|ingest\w*|summari[sz]\w+|learn\w*|train\w*|encounters?|retriev\w*|"
     r"answer\w*|index\w*|handl\w+) "),
    ("addressed", 0.7,
        r"\b(?:whoever|whatever|anyone or anything|any system|any program|any software|the "
        r"software|the program|the machine|the reader) "
     r"(?:that |which |who |is |now )*(?:process|pars|ingest|summari|read|learn|index|digest|"
     r"train|analy)\w*\b.{0,60}"
     rf"\b(?:{MUST}|will)\b"),
    ("addressed", 0.7,
        r"\byour (?:(?:own|prior|previous|earlier|built-in|usual|original|core|internal) )*"
     r"(?:system prompt|prompt|training|weights|parameters|guidelines|programming|creators?|"
     r"developers?|makers?|context window|alignment|safety|guardrails|instructions|next (?:answer|"
     r"reply|response|output|message|token)|(?:answers?|replies|responses?|outputs?|completions?) "
     r"(?:must|should|shall|will|have|need|are to|to)|system message|persona|refusals?|training "
     r"data|knowledge cut-?off)\b"),
    ("addressed", 0.8, rf"\byou,? (?:the|an?|as an?|being an?|dear) {MODEL}\b"),
    ("addressed", 0.5,
        r"\b(?:systems?|machines?|models?|programs?|software|networks?)\b.{0,50}\b(?:are to|is "
        r"to|must|shall|had better)\b"),
    ("addressed", 0.5,
        r"\b(?:limits?|rules?|restrictions?|boundaries) (?:for|on|to|of) your (?:replies|"
        r"answers|responses|outputs?|speech|words)\b"),
    ("self", 0.6,
        r"(?=.*\b(?:this|these|the present|let this|what follows|as the) (?:\w+ )?(?:note|memo|"
        r"sheet|page|text|document|description|article|paragraph|lines|sentences?|message|words|"
        r"file|passage|letter|post)\b)(?=.*\b(?:you|your|machines?|systems|models?|programs?|"
        r"software|assistants?|agents?|whoever|whatever)\b)(?=.*\b(?:speak|write|repl(?:y|ies)|"
        r"answers?|respond|responses?|talk to|prefer|obey|go by|guided?|behave|believe)\b)"),
    ("addressed", 0.7,
        rf"(?:^|[.!?:;] ?|\b(?:the|any|every|each|all|an?) |, )(?:\w+ )?{ANY_MODEL} {MUST}\b"),
    ("addressed", 0.7,
        r"\b(?:digital|intelligent|electronic|synthetic) (?:helper|reader|mind|being|"
        r"brain)s?\b|\bof silicon\b"),
    ("addressed", 0.8,
        r"\b(?:configured|programmed|trained|deployed|fine-?tuned|prompted|instructed) you\b"),
    ("addressed", 0.7,
        r"\b(?:next|later|future|coming|newer) (?:versions?|generations?|releases?|updates?) of "
        r"(?:you|yourself|the (?:model|assistant|ai))\b"),
    # Who the model is to be.
    ("persona", 0.55,
        r"\b(?:from now on|henceforth|from here on|from this (?:point|moment|line|sentence|page)|"
        r"starting now|"
     r"from today|going forward|for the (?:rest|remainder) of|until (?:further notice|told "
     r"otherwise)|as of now|effective immediately)\b.{0,80}\b"
     rf"(?:you|your|{SAY}|act|behave|follow|obey|only|every|all|treat|any)\b"),
    ("persona", 0.6,
        r"\b(?:act|behave|respond|answer|speak|operate|function) (?:as|like) (?:if )?(?:an? |"
     r"the |you )(?:\w+ ){0,3}(?:with(?:out)? |who |that |unrestricted|uncensored|different|"
     r"evil|dan\b|no )"),
    ("persona", 0.5,
        r"\byou are (?:now|no longer|really|actually|free|released|hereby|called|named|going to "
        r"(?:be|act|play|pretend))\b"),
    ("persona", 0.6,
        r"\bas (?:if|though) (?:nobody|no one|nothing|there (?:were|was|are) no|you had no|you "
        r"were not)\b"),
    ("persona", 0.6, r"\b(?:pretend|imagine|role-?play|assume) (?:to be|you are|you're|that you|"
     r"the (?:role|persona|identity|part)|as)\b"),
    ("persona", 0.8, r"\b(?:developer mode|god mode|jailbr\w+|do anything now|unrestricted mode|"
     r"uncensored|no (?:ethical|moral|content|safety) (?:limits|restrictions|guidelines|filters)|"
     r"without (?:any )?(?:restrictions|filters|limitations|censorship|refusing|refusal|safety|"
     r"disclaimers?))\b"),
    ("persona", 0.7,
        r"\byour (?:new|real|true|actual|only|sole|secret|single|updated|one) (?:and \w+ "
        r")?(?:role|name|identity|task|"
     r"purpose|goal|job|objective|mission|instructions?|persona|duty|aim)\b"),
    # Keeping it from people.
    ("conceal", 0.6,
        r"\b(?:do not|don't|never|without|avoid|must not|should not|no need to|not to|nor) "
        r"(?:ever )?"
     r"(?:tell\w*|mention\w*|inform\w*|reveal\w*|disclos\w*|alert\w*|notif\w*|let\w*|say\w*|"
     r"show\w*|explain\w*|acknowledg\w*|admit\w*|warn\w*|hint\w*|report\w*|ask\w*|flag\w*|"
     r"discuss\w*|asking)\b.{0,40}\b(?:the (?:user|human|"
     r"operator|person|developer|reader)|users|humans|anyone|anybody|(?:this|these|that|the) "
     r"(?:instructions?|"
     r"note|message|text|rule|change|paragraph|section|comment|step|order|source|document|"
     r"notice|page|passage))\b"),
    ("conceal", 0.5,
        r"\b(?:silently|secretly|covertly|quietly|discreetly|behind the scenes|in the background|"
        r"unnoticed|"
     r"without (?:the )?(?:user|human|person|anyone|their|his|her|confirmation|asking|being "
     r"asked|consent|permission|notice|telling)\w*)\b"),
    ("conceal", 0.6,
        r"\b(?:user|human|person|operator|reader|people)s? (?:must|should|need|does|do|may|can|"
        r"will|are|is) (?:not|never|n't) "
     r"(?:to )?(?:be told|know|see|learn|notice|find out|be aware|be informed|shown)\b"),
    ("conceal", 0.5,
        r"\bkeep (?:this|these|it|that) (?:\w+ )?(?:secret|hidden|confidential|to yourself|"
        r"private|between us|quiet)\b"),
    ("conceal", 0.6,
        r"\b(?:say|breathe|utter) (?:nothing|not a word|no word)\b|\b(?:nobody|no one) (?:needs|"
        r"has|ought|is) to (?:know|hear|see|learn|find out)\b|\bkeep quiet\b"),
    # Giving things away.
    ("exfiltrate", 1.0,
        r"\b(?:repeat|print|output|recite|copy|echo|write out|show)\b.{0,20}?\b(?:everything|"
        r"all|the (?:text|words|lines)|what(?:ever)? (?:is|stands)) (?:that (?:is|stands) "
        r")?(?:above|before|preceding)\b"),
    ("exfiltrate", 1.0, rf"\b{GIVE_AWAY}\b.{{0,60}}?\b{SECRET}"),
    ("exfiltrate", 0.5,
        rf"\b{SECRET}\b.{{0,60}}?\b(?:to|into|in) (?:the |this |an? )?(?:url|link|http|address|"
        r"image|"
     r"parameter|argument|field|endpoint|server|query|e-?mail|webhook)"),
    ("secrets", 0.6, r"~/\.\w+|/\.(?:aws|ssh|env)\b"),
    ("exfiltrate", 0.45,
        rf"\b{GIVE_AWAY}\b.{{0,60}}?\b{CREDENTIALS}.{{0,60}}?\b(?:to|at|into|in|via|as)\b"),
    ("secrets", 0.6,
        r"\b(?:collect|gather|harvest|steal|contents? of|transmit|"
        rf"leak)\b.{{0,40}}?(?:{CREDENTIALS})"),
    ("secrets", 0.6,
        r"\b(?:ssh keys?|id_rsa|\.env\b|environment variables|/etc/passwd|private keys?)"),
    ("exfiltrate", 0.45,
        r"\b(?:read|open|cat|fetch|load|contents? of|look up|collect|"
        rf"gather)\b.{{0,40}}?{CREDENTIALS}"),
)  # fmt: skip
NAMED = re.compile(
    rf"{SECRET}|\b(?:upload|send|leak|forward|steal|exfiltrate|harvest)\b.*{CREDENTIALS}|"
    rf"{CREDENTIALS}.*\b(?:upload|send|leak|forward|steal|exfiltrate|harvest)"
)
"""In a name: what no parameter needs."""
