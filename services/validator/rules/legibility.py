"""A text whose letters were lost or garbled on the way is recognised, named, and read back where that is possible.

Three ways are known: UTF-8 read as another encoding (mojibake), the fonts of before Unicode (TCVN3 and VNI), letters
turned into "?". Sure or silent: what is called garbled becomes Vietnamese when it is read back, and was none before.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

Kind = Literal["utf8", "lost", "TCVN3 (ABC)", "VNI Windows"]

#: at least so many garbled letters or words, and at least this share of all that are not plain ASCII
_FEWEST = 4
_SHARE = 3
#: words looked at: enough to be sure, however long the text is
_SAMPLE_WORDS = 400
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Damage:
    """What happened to a text; `recovered` is its beginning read back, empty where that is lost."""

    kind: Kind
    recovered: str


#: Some of these are in every garbled text, Vietnamese writing has few of them: what UTF-8 becomes, the commonest
#: letters of TCVN3, those of VNI. Looked for one by one, which is quick.
_STRANGE = "ÃĂÄÆº»" + "µ¸¹·®©ªÖ×ß\xad" + "ïøûäñö" + "\ufffd"
_FEWEST_QUESTIONS = 5


def damage(text: str) -> Damage | None:
    """What garbled the text, or None. Linear in its length."""
    if text.isascii():
        return _lost(text)
    if any(map(text.__contains__, _STRANGE)):
        found = _mojibake(text) or _legacy(text)
        if found is not None:
            return found
    return _lost(text)


# UTF-8 read as CP1252, Latin-1 or CP1258: the first byte of a Vietnamese letter is one of few, the others are 80–BF.
_BYTE_OF = (
    {chr(byte): byte for byte in range(0x80, 0x100)}
    | {character: byte for byte in range(0x80, 0xA0) if (character := bytes([byte]).decode("cp1252", "ignore"))}
    | {"Ă": 0xC3}
)
_TAIL = "".join(re.escape(character) for character, byte in _BYTE_OF.items() if byte < 0xC0)
_SEQUENCE = re.compile(f"[ÂÃĂÄÅÆ][{_TAIL}]|[áâ][{_TAIL}]{{2}}")
_TWICE = 2


def _mojibake(text: str) -> Damage | None:
    recovered = text
    for _ in range(_TWICE):  # some texts went through it twice
        spans = _SEQUENCE.findall(recovered)
        if len(spans) < _FEWEST or _SHARE * sum(map(len, spans)) < sum(not one.isascii() for one in recovered):
            break
        recovered = _SEQUENCE.sub(_decoded, recovered)
    if recovered is text or not any(map(is_syllable, _words(recovered))):
        return None
    return Damage("utf8", recovered[:_SHOWN])


def _decoded(found: re.Match[str]) -> str:
    return bytes(_BYTE_OF[character] for character in found[0]).decode("utf-8", "replace")


_REPLACED = re.compile(r"[^\W\d_]\?+[^\W\d_]|\b[^\W\d_]+\?(?=[ ,;])")


def _lost(text: str) -> Damage | None:
    """Letters that became "?" or U+FFFD inside words."""
    if text.count("\ufffd") >= _FEWEST:
        return Damage("lost", "")
    if text.count("?") < _FEWEST_QUESTIONS:
        return None
    questions = len(_REPLACED.findall(text))
    if questions >= _FEWEST_QUESTIONS and _SHARE * questions >= text.count(" "):
        return Damage("lost", "")
    return None


_TONES = {
    "a": "àảãáạ", "ă": "ằẳẵắặ", "â": "ầẩẫấậ", "e": "èẻẽéẹ", "ê": "ềểễếệ", "i": "ìỉĩíị", "o": "òỏõóọ", "ô": "ồổỗốộ",
    "ơ": "ờởỡớợ", "u": "ùủũúụ", "ư": "ừửữứự", "y": "ỳỷỹýỵ",
}  # fmt: skip
_TONELESS = str.maketrans({toned: vowel for vowel, tones in _TONES.items() for toned in tones})
_SYLLABLE = re.compile(
    "(?:ngh|ng|nh|gh|gi|kh|ch|th|tr|ph|qu|[bcdđghklmnprstvx])?"
    "(?:a(?:ch|nh|ng|[cimnoptuy])?|ă(?:ng|[cmnpt])|â(?:ng|[cmnptuy])|e(?:ng|[cmnopt])?|ê(?:ch|nh|ng|[mnptu])?"
    "|i(?:ch|nh|[amnptu])?|iê(?:ng|[cmnptu])|o(?:ng|[cimnpt])?|oa(?:ch|nh|ng|[cimnopty])?|oă(?:ng|[cmnpt])"
    "|oe(?:[mnot])?|oo(?:ng|c)|ô(?:ng|[cimnpt])?|ơ(?:[imnpt])?|u(?:ng|[acimnpt])?|uâ(?:ng|[nty])|uê(?:ch|nh|n)?"
    "|uô(?:ng|[cimnt])|uơ|uy(?:ch|nh|[anptu])?|uyê(?:[nt])|ư(?:ng|[acimntu])?|ươ(?:ng|[cimnptu])"
    "|y|yê(?:ng|[mntu]))"
).fullmatch


def is_syllable(word: str) -> bool:
    """Whether a word is written as a Vietnamese syllable may be: "nghĩa" is, "nghÜa" and "kÕt" are not."""
    if not (word.islower() or word.isupper() or word.istitle()):
        return False
    return _SYLLABLE(word.lower().translate(_TONELESS)) is not None


_TCVN3 = dict(
    zip(
        "µ¶·¸¹¨»¼½¾Æ©ÇÈÉÊË®ÌÎÏÐÑªÒÓÔÕÖ×ØÜÝÞßáâãä«åæçèé¬êëìíîïñòóô\xadõö÷øùúûüýþ§¡¢£¤¥¦",
        "àảãáạăằẳẵắặâầẩẫấậđèẻẽéẹêềểễếệìỉĩíịòỏõóọôồổỗốộơờởỡớợùủũúụưừửữứựỳỷỹýỵĐĂÂÊÔƠƯ",
        strict=True,
    )
)
_FROM_TCVN3 = str.maketrans(_TCVN3)

_VNI_MARKS = {
    "a": {"ø": "à", "û": "ả", "õ": "ã", "ù": "á", "ï": "ạ", "ê": "ă", "è": "ằ", "ú": "ẳ", "ü": "ẵ", "é": "ắ",
          "ë": "ặ", "â": "â", "à": "ầ", "å": "ẩ", "ã": "ẫ", "á": "ấ", "ä": "ậ"},
    "e": {"ø": "è", "û": "ẻ", "õ": "ẽ", "ù": "é", "ï": "ẹ", "â": "ê", "à": "ề", "å": "ể", "ã": "ễ", "á": "ế",
          "ä": "ệ"},
    "o": {"ø": "ò", "û": "ỏ", "õ": "õ", "ù": "ó", "ï": "ọ", "â": "ô", "à": "ồ", "å": "ổ", "ã": "ỗ", "á": "ố",
          "ä": "ộ"},
    "ô": {"ø": "ờ", "û": "ở", "õ": "ỡ", "ù": "ớ", "ï": "ợ"},
    "u": {"ø": "ù", "û": "ủ", "õ": "ũ", "ù": "ú", "ï": "ụ"},
    "ö": {"ø": "ừ", "û": "ử", "õ": "ữ", "ù": "ứ", "ï": "ự"},
    "y": {"ø": "ỳ", "û": "ỷ", "õ": "ỹ", "ù": "ý"},
}  # fmt: skip
_VNI_ALONE = {"æ": "ỉ", "ó": "ĩ", "ò": "ị", "î": "ỵ", "ñ": "đ", "ö": "ư", "ô": "ơ", "í": "í", "ì": "ì"}
_VNI = {vowel + mark: letter for vowel, marks in _VNI_MARKS.items() for mark, letter in marks.items()} | _VNI_ALONE
_VNI |= {code.upper(): letter.upper() for code, letter in _VNI.items()}
_VNI |= {code[0].upper() + code[1]: letter.upper() for code, letter in list(_VNI.items()) if len(code) > 1}
_VNI_CODES = re.compile("|".join(sorted(map(re.escape, _VNI), key=len, reverse=True)))


def _from_tcvn3(text: str) -> str:
    return text.translate(_FROM_TCVN3)


def _from_vni(text: str) -> str:
    return _VNI_CODES.sub(lambda found: _VNI[found[0]], text)


_FONTS: tuple[tuple[Kind, Callable[[str], str]], ...] = (("TCVN3 (ABC)", _from_tcvn3), ("VNI Windows", _from_vni))


def _legacy(text: str) -> Damage | None:
    """A font of before Unicode: read back, many words become Vietnamese that were none."""
    words = [word for word in _words(text) if not word.isascii()]
    garbled = [word for word in words if not is_syllable(word)]
    if len(garbled) < _FEWEST:
        return None
    kind, convert = max(_FONTS, key=lambda font: _mended(garbled, font[1]))
    mended = _mended(garbled, convert)
    if mended < _FEWEST or _SHARE * mended < len(words):
        return None
    return Damage(kind, convert(text[:_SHOWN]))


def _mended(words: Iterable[str], convert: Callable[[str], str]) -> int:
    """Different words that become syllables."""
    return sum(is_syllable(convert(word)) for word in set(words))


def _words(text: str) -> list[str]:
    """The first words, without the ASCII punctuation around them; of the fonts' letters some are signs themselves."""
    return [bare for word in text.split(None, _SAMPLE_WORDS)[:_SAMPLE_WORDS] if (bare := word.strip(".,;:!?()[]\"'-/"))]
