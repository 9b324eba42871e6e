"""Substitutions that keep a text's meaning, numbers and names.

The list is curated by hand. It holds words and phrases, but no number, name, unit or quantifier of
a syllogism. No two have the same replacement, so that distinct terms stay distinct.
"""

# fmt: off
SUBSTITUTIONS = {
    "across": "throughout", "additional": "further", "also": "additionally",
    "although": "even though", "at the end": "in the end",
    "based on": "founded on", "because": "since", "became": "turned into", "become": "turn into",
    "before": "prior to", "began": "started", "begins": "starts", "best known": "most famous",
    "big": "sizeable", "bigger": "more sizeable", "buy": "purchase", "buying": "purchasing",
    "buys": "purchases", "bought": "purchased",
    "calculate": "work out", "city": "town", "collected": "gathered", "collects": "gathers",
    "commonly": "usually", "consider": "look at", "considered": "regarded as",
    "consists of": "is made up of", "costs": "is priced at", "country": "nation",
    "countries": "nations", "created": "made", "currently": "at present",
    "decides": "chooses", "described": "portrayed", "developed": "worked out",
    "died": "passed away", "different": "differing",
    "does it logically follow": "is it a logical consequence", "due to": "owing to",
    "during": "in the course of",
    "each": "every", "especially": "particularly", "established": "set up", "every day": "daily",
    "example": "instance",
    "famous": "renowned", "for example": "for instance", "found in": "seen in", "friends": "pals",
    "generally": "in general", "gets": "receives",
    "happened": "occurred", "helped": "aided", "helps": "aids", "however": "nevertheless",
    "if": "supposing", "important": "significant", "in order to": "so as to",
    "in total": "altogether", "initially": "at first",
    "just": "only",
    "keeps": "retains", "kinds": "sorts", "known as": "referred to as",
    "large": "sizable", "largest": "biggest", "later": "afterwards", "leader": "head",
    "located": "situated",
    "made up of": "composed of", "mainly": "chiefly", "many of": "lots of", "method": "technique",
    "most commonly": "most usually", "mostly": "for the most part",
    "needs": "requires", "need": "require", "new": "recent",
    "often": "frequently", "only": "solely", "originally": "in the beginning", "owns": "possesses",
    "people": "persons", "period": "era", "popular": "well liked", "primarily": "principally",
    "produced": "turned out",
    "received": "was given", "regarded": "viewed", "related to": "connected with",
    "released": "brought out", "result": "outcome",
    "same": "identical", "sells": "vends", "several": "a number of", "shop": "store",
    "should": "ought to", "similar": "comparable", "small": "little", "smaller": "littler",
    "statements": "claims", "such as": "like",
    "tells": "informs", "term": "expression", "throughout": "all through", "together": "jointly",
    "typically": "as a rule",
    "usually": "normally",
    "various": "assorted",
    "wants": "wishes", "want": "wish", "well-known": "widely known", "when": "at the time that",
    "which is": "that is", "while": "whereas", "widely": "broadly", "written": "penned",
    "wrote": "penned down",
    "young": "youthful",
}
# fmt: on
