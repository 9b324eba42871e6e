"""Other orders of a text's sentences and clauses that mean the same."""

import re

from wor.data import datasets, syllogisms

_DAY = r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day"
_TIME = rf"(?:in \d{{4}}|on {_DAY}|in the (?:morning|afternoon|evening)|(?:every|each) (?:day|week|month|year))"
_SUBJECT = r"(?:the|an?|he|she|it|they|his|her|their|its|each|every|this|there)"
_QUESTION = r"(?:how|what|calculate|determine)"
_PRONOUN = re.compile(
    r"\b(?:he|she|it|they|him|her|his|hers|them|its|their|theirs|this|that|these|those|one|ones)\b", re.IGNORECASE
)
# After these, what ends the sentence could belong to another verb than the first.
_SECOND_CLAUSE = re.compile(
    r",|;|:|—|\b(?:and|or|but|that|which|who|whom|whose|where|when|while|after|before|until|since|because|if|so|than|to|then)\b"
)
# Words by which a sentence refers to another, or to its place in a story.
_REFERENCE = re.compile(
    r"\b(?:he|she|it|they|him|her|his|hers|its|them|their|theirs|this|that|these|those|such|one|ones|another|others?|same|both|rest|"
    r"remaining|left|also|too|then|now|later|after|before|next|first|second|third|last|finally|again|already|however|so|but|"
    r"more|less|fewer|twice|half|times|as|than|total|each|all|instead|if|when|while|until|because)\b",
    re.IGNORECASE,
)
# Verbs in their base form that are rarely nouns, so that what stands before one is its subject.
_BASE_VERB = (
    "accept|achieve|acquire|admire|adopt|affect|afford|agree|allow|always|appear|appreciate|approve|attend|avoid|be|beat|become|believe|"
    "belong|bring|buy|celebrate|choose|collaborate|come|commit|communicate|compete|complete|condone|connect|consider|contain|"
    "create|deliver|depict|destroy|die|differ|disagree|discover|earn|eat|employ|encounter|endanger|enjoy|ensure|enter|ever|exceed|exist|"
    "expect|explain|express|feel|find|fit|forget|get|give|go|grow|have|hear|hypothetically|identify|ignore|improve|"
    "include|inspire|interact|invent|keep|know|learn|listen|live|lose|manage|marry|meet|obey|occur|offend|operate|"
    "outsell|own|participate|perceive|perform|prefer|prepare|prevent|prove|provide|qualify|read|receive|recite|recognize|refuse|"
    "reject|remain|remember|replace|require|resemble|resist|resolve|see|seem|sell|send|sing|solve|speak|spend|still|succeed|suffer|"
    "survive|swim|take|teach|tell|think|tolerate|undergo|understand|wear|win|withstand|write"
)
# What opens the predicate of "is", where no preposition stands before it.
_PREDICATE = (
    r"(?<! of)(?<! in)(?<! with)(?<! for)(?<! to)(?<! on)(?<! at)(?<! by)(?<! from)(?<! and)(?<! or)(?<! than)(?<! that) "
    r"(?:an?|the|part|located|considered|known|named|used|able|likely|more|less|safe|born|alive|popular|required|related|involved|associated|"
    r"made|often|usually|still|ever|always|too|prevalent|hard|closer|possible|common)\b"
)
_SUPERLATIVE = r"the (?:(?:second|third) )?(?:only|first|last|most [a-z]+|[a-z]{3,}est) "
_ADJECTIVE = r"[a-z]{2,}(?:al|ic|ive|ous|ary|ful|ible|able|ent|ant)"
_NAME = r"[A-Z][\w-]+(?: [A-Z][\w-]+)*"
_END = r"(?=[.;)]|$)"
_COORDINATIONS = [
    # "natural or artificial substance", "of reason and faith.", "wrynecks, and sapsuckers."
    re.compile(rf"\b({_ADJECTIVE})( and | or )({_ADJECTIVE})(?= [a-z])"),
    re.compile(rf"(?<=\b(?:of|by|in) )([a-z]{{4,}})( and | or )([a-z]{{4,}}){_END}"),
    re.compile(rf"(?<=, )(?![a-z]+(?:ed|ing)\b)([a-z]{{4,}})(,? and |,? or )(?![a-z]+(?:ed|ing)\b)([a-z]{{4,}}){_END}"),
    re.compile(rf"(?<=[A-Z][a-z], )({_NAME})(,? and |,? or )({_NAME}){_END}"),
    re.compile(rf"(?<=[a-z][a-z], )({_NAME})(,? and |,? or )({_NAME}){_END}"),
]
# "the capital of Cuba". Of some nouns the name is another name, or a whole.
_OF_NAME = re.compile(
    r"\b([Tt]he) ((?:[a-z][a-z-]+ ){0,2}(?:[a-z]+ and )?(?:[a-z]+ )?"
    r"(?!(?:state|city|town|village|island|province|continent|country|kingdom|region|district|county|republic|duchy|gulf|bay|"
    r"battle|war|university|rest|part|use|form|name|title|god|goddess|city-state|empire|house|order|planet|term|idea|concept|"
    r"act|one|most|number|majority|likes|case|month|year|nation|peninsula|municipality|borough|language|constellation|river|"
    r"mountains?|lake|sea|port|area|genus|species|family|age|era|period|people|peoples|tribes?|theory|science|art|works?|likeness)\b)"
    rf"[a-z]+) of ({_NAME})(?=[.,;)]| (?:is|was|are|were|in|from|to|by|on|at|has|had)\b)"
)
_TRUTH = ("Is it true that", "Would it be right to say that", "Can it be said that", "Does it hold that")
_PHRASE = r"(?:an? |the )?[\w'’.-]+(?: [\w'’.-]+)*?"
_QUESTIONS = [
    re.compile(rf"(Did|Does|Do|Would|Could|Can|Should|Will) ({_PHRASE}) ((?:{_BASE_VERB})\b[^?]*)\?"),
    re.compile(r"(Is|Are|Was|Were) (it|there|you|he|she|they|someone|anyone) ([^?]+)\?"),
    re.compile(rf"(Is|Are|Was|Were) ({_PHRASE})(?={_PREDICATE}) ([^?]+)\?"),
]
_REFERS_BACK = re.compile(
    r"(?:\w+ ){0,3}(?:it|its|he|she|they|his|her|their|this|these|those|such|both|one|all)\b", re.IGNORECASE
)
_FACT = re.compile(r"^(?:The|[A-Z]\w+) (?:[a-z]+ ){0,4}(?:has|have|contains?|costs?|weighs?|holds?|is|are|sells?) [^?!:;]*\.$")


def reorderings(text: str) -> list[str]:
    """Return ``text`` in each order that differs from it in one place and means the same.

    - The numbered statements of a syllogism change places.
    - "If A, B?" becomes "B if A?", and back, where no pronoun would lose what it stands for.
    - "In 1990, A." becomes "A in 1990.", and back, in a sentence with one clause.
    - "In all, how many A?" becomes "How many A in all?".
    - "In physics, a field is B" becomes "A field in physics is B".
    - "The Moon is the only A of B." becomes "The only A of B is the Moon."
    - "Would A do B?" becomes "Is it true that A would do B?", "Is A a B?" likewise.
    - Two neighbouring sentences before the end change places if both state a fact in the present,
      neither refers back, and they share no noun.
    """
    found = [_swap_premises(text), *_swap_facts(text), *_swap_in_pairs(text), *_put_owner_first(text)]
    for sentence in datasets.sentences(text):
        if text.count(sentence) == 1:
            found += [text.replace(sentence, new) for new in _reorder_clauses(sentence, text)]
    return [new for new in dict.fromkeys(found) if new != text]


def _swap_premises(text: str) -> str:
    """Return ``text`` with its numbered statements in reverse, if all of them are categorical."""
    lines = re.findall(r"^\d+[.)] (.+)$", text, re.MULTILINE)
    try:
        for line in lines:
            syllogisms.parse(line)
    except ValueError:
        return text
    reverse = iter(lines[::-1])
    return re.sub(r"^(\d+[.)] ).+$", lambda match: match[1] + next(reverse), text, flags=re.MULTILINE)


def _reorder_clauses(sentence: str, text: str) -> list[str]:
    found = []
    if match := re.fullmatch(rf"If ([^,]+), ({_QUESTION} .+)([?.])", sentence, re.IGNORECASE):
        condition, question, end = match.groups()
        if _binds(condition, question):
            found.append(f"{_upper(question)}{',' * (',' in question)} if {condition}{end}")
    if match := re.fullmatch(rf"({_QUESTION} [^,]+?),? if ([^,]+)([?.])", sentence, re.IGNORECASE):
        question, condition, end = match.groups()
        if not _PRONOUN.search(condition) and " if " not in question:
            found.append(f"If {condition}, {_lower(question, text)}{end}")
    if match := re.fullmatch(rf"({_TIME}), (.+)\.", sentence, re.IGNORECASE):
        time, clause = match.groups()
        if not _SECOND_CLAUSE.search(clause) and not re.search(_TIME, clause, re.IGNORECASE):
            found.append(f"{_upper(clause)} {time[0].lower()}{time[1:]}.")
    if match := re.fullmatch(rf"(.+) ({_TIME})\.", sentence):
        clause, time = match.groups()
        opening = _lower(clause, text)
        if opening and not _SECOND_CLAUSE.search(clause) and not re.search(_TIME, clause, re.IGNORECASE):
            found.append(f"{_upper(time)}, {opening}.")
    if match := re.fullmatch(r"In (all|total), ((?:how|what) [^,]+)\?", sentence, re.IGNORECASE):
        found.append(f"{_upper(match[2])} in {match[1]}?")
    if match := re.match(r"In ((?:the )?[a-z]+(?: [a-z]+)?), ((?:an? |the )?[a-z]+(?: [a-z]+)?) (is|are) ", sentence):
        found.append(f"{_upper(match[2])} in {match[1]} {match[3]} {sentence[match.end() :]}")
    if match := re.fullmatch(rf"(The [A-Z]\w+|[A-Z]\w+(?: [A-Z]\w+)+) (is|was) ({_SUPERLATIVE}[^,;:()]+)\.", sentence):
        name, verb, rest = match.groups()
        found += [f"{_upper(rest)} {verb} {name.replace('The ', 'the ', 1)}."] * (not _SECOND_CLAUSE.search(rest))
    for pattern in _QUESTIONS:
        if match := pattern.fullmatch(sentence.strip()):
            verb, subject, rest = match.groups()
            first, *others = subject.split(" ")
            inner = " ".join([first.lower() if re.fullmatch(_SUBJECT, first, re.IGNORECASE) else first, *others])
            if re.search(r"(?:ly|\bnot|n't|\balmost|\band|\bor)$", inner):
                continue
            found += [f"{start} {inner} {verb.lower()} {rest}?" for start in _TRUTH]
    return found


def _binds(condition: str, question: str) -> bool:
    """Return whether no pronoun of ``question`` can stand for something in ``condition``."""
    pronouns = {match[0].lower() for match in _PRONOUN.finditer(question)} - {"that"}
    known = {match[0].lower() for match in _PRONOUN.finditer(condition)}
    has_name = bool(re.search(r"\b[A-Z]", condition))
    return pronouns <= {"it"} | known and not (pronouns and has_name) and not re.search(r"\bit\b(?! take)", question)


def _swap_facts(text: str) -> list[str]:
    parts, found = datasets.sentences(text), []
    for first, second, after in zip(parts[1:], parts[2:], parts[3:], strict=False):
        pair = [re.sub(r" (?:in|on) it\.$", ".", part) for part in (first, second)]
        are_facts = all(_FACT.match(part) and not _REFERENCE.search(part) for part in pair)
        nouns = [set(re.findall(r"[a-z]{4,}", part.lower())) - {"with", "from"} for part in pair]
        joined = re.search(rf"{re.escape(first)}(\s+){re.escape(second)}", text)
        if are_facts and joined and not nouns[0] & nouns[1] and not _REFERS_BACK.match(after):
            found.append(text.replace(joined[0], f"{second}{joined[1]}{first}", 1))
    return found


def _swap_in_pairs(text: str) -> list[str]:
    """Return ``text`` with the two last members of a coordination in the other order."""
    if "respectively" in text:
        return []
    found = []
    for pattern in _COORDINATIONS:
        for match in pattern.finditer(text):
            first, between, second = match.groups()
            # "a natural or artificial lake" would need another article
            is_bound = re.search(r"\ban? $", text[: match.start()], re.IGNORECASE) and (first[0] in "aeiou") != (
                second[0] in "aeiou"
            )
            if first.lower() != second.lower() and not is_bound:
                found.append(text[: match.start()] + second + between + first + text[match.end() :])
    return found


def _put_owner_first(text: str) -> list[str]:
    """Return ``text`` with "Cuba's capital" for "the capital of Cuba", once for each place."""
    found = []
    for match in _OF_NAME.finditer(text):
        owner = f"{match[3]}'" if match[3].endswith("s") else f"{match[3]}'s"
        found.append(f"{text[: match.start()]}{owner} {match[2]}{text[match.end() :]}")
    return found


def _upper(text: str) -> str:
    return text[0].upper() + text[1:]


def _lower(clause: str, text: str) -> str:
    """Return ``clause`` as it stands within a sentence, or "" if its first word may be a name."""
    first, _, rest = clause.partition(" ")
    if re.fullmatch(rf"{_SUBJECT}|{_QUESTION}", first, re.IGNORECASE):
        return first.lower() + " " + rest
    is_name = rest[:1].isupper() or re.search(rf"[a-z,] {re.escape(first)}\b", text)
    return clause if is_name else ""
