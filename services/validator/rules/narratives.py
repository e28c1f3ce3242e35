"""A narrative is measured after NFC and trimming, so that how it was typed never changes the verdict.

Filler is what says nothing in whatever writing: a stock phrase, repetition, punctuation. What prose is worth, a machine
does not judge: it counts what is said once, and asks where a section does not speak of what it is for. What follows
from it is the regime's to say (`form.filler`, `form.severities`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.validator.rules import catalogue, legibility
from services.validator.rules.flaws import Flaw, shown
from services.validator.rules.forms import Narrative
from services.validator.rules.placeholders import NOT_LETTERS, bare
from shared.contract.events import Severity
from shared.contract.events.registry import NarrativeRole
from shared.contract.text import nfc
from shared.runtime.english import counted

_INVISIBLE = "\ufeff\u200b\u200c\u200d\u2060\u00ad"
#: stripped at once: in turns, layer by layer, the two cost the square of the layers
_OUTER = _INVISIBLE + "".join(filter(str.isspace, map(chr, range(0x3001))))  # no white space lies beyond
#: all of Cc but TAB, LF, CR; bidirectional overrides, which disguise text; surrogates, which nobody can store
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LETTER = re.compile(r"[^\W_]")
_RUN = re.compile(r"(\S)\1{9,}")
#: invisible wherever they stand, as those of _INVISIBLE: of no script that reports are written in
_HIDDEN = (
    _INVISIBLE
    + "\u034f\u115f\u1160\u180b\u180c\u180d\u180e\u200e\u200f\u2061\u2062\u2063\u2064\u3164\ufe0e\ufe0f\uffa0"
)
_WITHOUT_HIDDEN = str.maketrans("", "", _HIDDEN)

#: letters of a stock phrase at most
_SHORT_LETTERS = 40
#: as often as this a unit repeats before it is filler: "tốt, rất tốt" is prose
_TIMES = 3
_LONGEST_UNIT = 160  # letters
_PHRASES = (
    "không",
    "không có",
    "không có gì",
    "không có gì thêm",
    "không có nội dung",
    "không có ý kiến",
    "không biết",
    "không rõ",
    "chưa có",
    "chưa có gì",
    "chưa có số liệu",
    "chưa cập nhật",
    "đang cập nhật",
    "đang cập nhật số liệu",
    "đang bổ sung",
    "đang hoàn thiện",
    "đang tổng hợp",
    "sẽ cập nhật",
    "sẽ cập nhật sau",
    "sẽ bổ sung",
    "sẽ bổ sung sau",
    "cập nhật sau",
    "bổ sung sau",
    "như trên",
    "như kỳ trước",
    "như báo cáo trước",
    "nội dung",
    "n/a",
    "nil",
    "null",
    "none",
    "nothing",
    "tba",
    "tbd",
    "todo",
    "updating",
    "to be updated",
    "xx",
    "abc",
    "xyz",
    "abcd",
    "abc xyz",
    "asd",
    "asdf",
    "asdfgh",
    "qwe",
    "qwerty",
    "blah",
    "test",
    "testing",
    "this is a test",
    "thử",
    "thử nghiệm",
    "lorem ipsum",
    "lorem ipsum dolor sit amet",
)


_EMPTY_PHRASES = frozenset(map(bare, _PHRASES))

_PADDING_WORDS = 200  # the share of distinct words falls in long honest texts: only the head is measured
_FEWEST_PADDING_WORDS = 12
_REPETITION = 6  # each word this many times, on average, is no prose
_LONGEST_HONEST_AVERAGE = 20  # characters per word; Vietnamese has about 4


def trimmed(text: str) -> str:
    """The text that counts: NFC, without outer white space and invisible characters. Linear in its length."""
    text = nfc(text).strip()
    if text and (text[0] in _INVISIBLE or text[-1] in _INVISIBLE):
        return text.strip(_OUTER)
    return text


#: what a section that is for something speaks of in some way; wide on purpose, a missed cue asks for nothing
_CUES: dict[NarrativeRole, tuple[str, ...]] = {
    "results": (
        "kết quả", "đã ", "đạt ", "đạt:", "hoàn thành", "thực hiện", "triển khai", "tổ chức", "giải quyết", "duy trì",
        "tiếp nhận", "ban hành", "không phát sinh", "được ", *"0123456789",
    ),
    "assessment": (
        "đánh giá", "tồn tại", "hạn chế", "khó khăn", "vướng", "ưu điểm", "nhìn chung", "cơ bản", "tích cực", "chậm",
        "chưa", "thuận lợi", "tốt", "kịp thời", "đúng hạn", "bất cập", "ổn định", "bảo đảm", "đảm bảo", "hiệu quả",
        "tăng", "giảm", "đầy đủ", "nghiêm túc", "còn ", "quá hạn", "chất lượng", "thấp", "đáp ứng", "yếu kém",
        "chuyển biến", "đạt ", "hài lòng", "thiếu", "hỏng", "xuống cấp", "quá tải", "vượt", "khá ", "yếu", "mất ",
    ),
    "causes": (
        "nguyên nhân", "lý do", "lí do", "do ", "bởi", "vì ", "vì:", "xuất phát", "nhờ", "dẫn đến", "dẫn tới",
        "ảnh hưởng", "thiếu", "khách quan", "chủ quan", "khiến", "xuất phát từ", "tác động", "mặc dù",
    ),
    "proposals": (
        "kiến nghị", "đề nghị", "đề xuất", "giải pháp", "phương hướng", "thời gian tới", "tiếp tục", "trọng tâm",
        "tập trung", "cần ", "kế hoạch", "kỳ tới", "tháng tới", "quý tới", "tuần tới", "năm tới", "tháng sau",
        "quý sau", "tuần sau", "kỳ sau", "sẽ ", "biện pháp", "phấn đấu", "tăng cường", "đẩy mạnh", "khắc phục", "mong ",
        "xem xét", "rà soát", "nhiệm vụ", "lộ trình", "dự kiến",
    ),
}  # fmt: skip
_ROLE_NAMES: dict[NarrativeRole, tuple[str, str]] = {
    "results": ("kết quả", "results"),
    "assessment": ("đánh giá", "an assessment"),
    "causes": ("nguyên nhân", "causes"),
    "proposals": ("kiến nghị, giải pháp", "proposals"),
}
#: an end of a sentence: a mark before white space or the end, a semicolon, a line. A run of marks is looked at once,
#: from its first: begun again at each of them, the run costs the square of its length
_SENTENCE_ENDS = re.compile(r"(?<![.!?…])[.!?…]++(?=\s|\Z)|[;\n]+")
_FEWEST_SENTENCE_WORDS = 3
_SHINGLE = 3


def is_unusable(flaw: Flaw) -> bool:
    """Whether a flaw of a narrative takes from what can be used of the report: an error, or filler, even explained."""
    return flaw.is_error or flaw.rule in (catalogue.EMPTY_PHRASE, catalogue.PADDING)


def check(narrative: Narrative, text: str, flaws: list[Flaw], severities: Mapping[str, Severity]) -> None:
    """Add what is wrong with a given, trimmed, non-empty text. `severities`: of the codes that the regime chooses."""
    if _is_illegible(narrative, text, flaws, severities):
        return  # nothing else can be said of it
    characters = len(text)
    # looked for one by one: that is quicker than any regular expression
    hidden = not text.isascii() and any(map(text.__contains__, _HIDDEN))
    seen = text.translate(_WITHOUT_HIDDEN) if hidden else text
    folded = seen.lower()  # of Vietnamese letters the same as casefold(), in a quarter of the time
    words = folded.split()
    length = len(seen)
    if seen.count(" ") != len(words) - 1:  # a run of white space counts as one character
        exact = seen.split()
        length = sum(map(len, exact)) + len(exact) - 1
    if length < narrative.minimum:
        flaws.append(_length(narrative, catalogue.TOO_SHORT, length, narrative.minimum, ">="))
    elif characters > narrative.maximum:
        flaws.append(_length(narrative, catalogue.TOO_LONG, characters, narrative.maximum, "<="))
    control = _CONTROL.search(text)
    if control:
        count = len(_CONTROL.findall(text))
        named = {
            "count": str(count),
            "count_en": counted(count, "control character"),
            "place": str(control.start() + 1),
        }
        flaws.append(
            Flaw(
                catalogue.CONTROL_CHARACTER,
                narrative.path,
                narrative.words | named,
                provided=f"U+{ord(control[0]):04X}",
            ),
        )
    if _is_phrase(seen):
        # nothing is lost where nobody asked for the section: leaving it blank says the same
        severity = severities[catalogue.EMPTY_PHRASE.code] if narrative.required else "warning"
        flaws.append(
            Flaw(catalogue.EMPTY_PHRASE, narrative.path, narrative.words, provided=shown(text, 60), severity=severity)
        )
    elif _is_repetition(seen, words):
        severity = severities[catalogue.PADDING.code]
        flaws.append(
            Flaw(catalogue.PADDING, narrative.path, narrative.words, provided=shown(text, 60), severity=severity)
        )
    elif length >= narrative.minimum:
        _check_content(narrative, folded, words, flaws, severities)


def _is_illegible(narrative: Narrative, text: str, flaws: list[Flaw], severities: Mapping[str, Severity]) -> bool:
    damage = legibility.damage(text)
    if damage is None:
        return False
    rule = catalogue.GARBLED if damage.kind in ("utf8", "lost") else catalogue.LEGACY_FONT
    words = {"font": damage.kind, "recovered": "", "recovered_en": "", "provided": shown(text, 60)}
    if damage.recovered:
        recovered = shown(damage.recovered, 60)
        words["recovered"] = f" Đọc đúng là “{recovered}”."
        words["recovered_en"] = f" It reads “{recovered}”."
    flaws.append(
        Flaw(
            rule, narrative.path, narrative.words | words, shown(text), expected=shown(damage.recovered) or None,
            severity=severities[rule.code],
        )
    )  # fmt: skip
    return True


def _check_content(
    narrative: Narrative, text: str, words: list[str], flaws: list[Flaw], severities: Mapping[str, Severity]
) -> None:
    """What a (folded) text of the right length lacks: enough that is said once, sentences, what the section is for."""
    if narrative.syllables and len(set(words[: 2 * narrative.syllables])) < narrative.syllables:
        said_once = _said_once(words)
        if said_once < narrative.syllables:
            flaws.append(_too_few(narrative, catalogue.THIN, "syllable", said_once, narrative.syllables, severities))
            return
    if narrative.sentences:
        sentences = sum(
            len(sentence.split(None, _FEWEST_SENTENCE_WORDS)) >= _FEWEST_SENTENCE_WORDS
            for sentence in dict.fromkeys(map(str.strip, _SENTENCE_ENDS.split(text)))
        )
        if sentences < narrative.sentences:
            flaws.append(
                _too_few(narrative, catalogue.FEW_SENTENCES, "sentence", sentences, narrative.sentences, severities)
            )
    if narrative.roles and not text.isascii():  # without accents, or in English, no cue can be expected
        missing = [role for role in narrative.roles if not any(map(text.__contains__, _CUES[role]))]
        if missing:
            named = {
                "roles": ", ".join(_ROLE_NAMES[role][0] for role in missing),
                "roles_en": ", ".join(_ROLE_NAMES[role][1] for role in missing),
            }
            rule = catalogue.ROLE_MISSING
            flaws.append(Flaw(rule, narrative.path, narrative.words | named, severity=severities[rule.code]))


def _said_once(words: list[str]) -> int:
    """Syllables that count: a passage that comes again adds nothing, nor does punctuation."""
    spoken = [bare for word in words if (bare := NOT_LETTERS.sub("", word))]
    if len(spoken) < _SHINGLE:
        return len(set(spoken))
    return len(set(zip(spoken, spoken[1:], spoken[2:], strict=False))) + _SHINGLE - 1


def _too_few(
    narrative: Narrative, rule: catalogue.Rule, noun: str, count: int, limit: int, severities: Mapping[str, Severity]
) -> Flaw:
    difference = limit - count
    words = {
        f"{noun}s": str(count),
        f"{noun}s_en": counted(count, noun),
        "limit": str(limit),
        "difference": str(difference),
        "difference_en": counted(difference, noun),
    }
    return Flaw(
        rule,
        narrative.path,
        narrative.words | words,
        str(count),
        expected=f">= {limit}",
        difference=str(-difference),
        severity=severities[rule.code],
    )


def _length(narrative: Narrative, rule: catalogue.Rule, characters: int, limit: int, sign: str) -> Flaw:
    difference = abs(characters - limit)
    words = {
        "characters": str(characters),
        "characters_en": counted(characters, "character"),
        "limit": str(limit),
        "difference": str(difference),
        "difference_en": counted(difference, "character"),
    }
    return Flaw(
        rule,
        narrative.path,
        narrative.words | words,
        str(characters),
        expected=f"{sign} {limit}",
        difference=str(characters - limit),
    )


def _is_phrase(text: str) -> bool:
    """Whether the text is punctuation alone, or one of the phrases that stand where content should."""
    if _LETTER.search(text) is None:
        return True
    if len(NOT_LETTERS.sub("", text[: 2 * _SHORT_LETTERS])) > _SHORT_LETTERS:
        return False
    letters = NOT_LETTERS.sub("", text)
    return len(letters) <= _SHORT_LETTERS and bare(letters) in _EMPTY_PHRASES


def _is_repetition(text: str, words: list[str]) -> bool:
    """Whether the text is mostly one thing again and again: characters, a word, a few words."""
    head = words[:_PADDING_WORDS]
    count = len(head)
    distinct = len(set(head))
    if count >= _FEWEST_PADDING_WORDS and distinct * _REPETITION < count:
        return True
    if len(text) > _LONGEST_HONEST_AVERAGE * count:
        if 2 * sum(len(run[0]) for run in _RUN.finditer(text)) > len(text):
            return True
    elif distinct * _TIMES > count >= _FEWEST_PADDING_WORDS:
        return False  # prose, by far the most common: no need to look closer
    return _repeats(bare(text[: max(3 * _LONGEST_UNIT, len(text) // 2 + 1)]))


def _repeats(letters: str) -> bool:
    """Whether the letters are one unit, at least three times over; the last may be cut short."""
    longest = min(_LONGEST_UNIT, len(letters) // _TIMES)
    return any(letters.startswith(letters[unit:]) for unit in range(1, longest + 1))
