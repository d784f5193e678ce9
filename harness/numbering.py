"""Mainland mobile numbers: parsing, and whom a prefix was allotted to. A prefix is not the carrier: numbers are ported.

Parsing and prefixes are the library `phonenumbers`; the overlay is what it does not know (facts: china-numbering 1, 3).
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

import phonenumbers
from phonenumbers import PhoneNumberType, carrier

from harness.domain import Carrier

_NAMES: Final = {
    "中国移动": Carrier.CHINA_MOBILE,
    "中国联通": Carrier.CHINA_UNICOM,
    "中国电信": Carrier.CHINA_TELECOM,
    "中国广电": Carrier.CHINA_BROADNET,
}
_OVERLAY: Final = {"162": Carrier.CHINA_TELECOM, "165": Carrier.CHINA_MOBILE}  # virtual operators on these networks
_MACHINES: Final = re.compile(r"1(?:40|46|48|49|410|440)")  # data and machine cards get no marketing and no codes
_SATELLITE: Final = "1349"


class NotMobile(ValueError):
    """The text is no mainland mobile number that may be a test recipient; says why."""


@lru_cache(maxsize=4096)
def parse_mobile(text: str) -> tuple[str, Carrier | None]:
    """A number in E.164 and the carrier its prefix was allotted to (None: unknown).

    >>> parse_mobile("138 0000 1234")
    ('+8613800001234', <Carrier.CHINA_MOBILE: 'china_mobile'>)

    Raises:
        NotMobile: for what is no mainland mobile number, or a machine card.
    """
    squeezed = unicodedata.normalize("NFKC", text).strip()
    try:
        number = phonenumbers.parse(squeezed, "CN")
    except phonenumbers.NumberParseException as error:
        raise NotMobile("is no phone number") from error
    national = str(number.national_number)
    if number.country_code != 86 or not re.fullmatch(r"1[3-9]\d{9}", national):
        raise NotMobile("is no mainland mobile number")
    if _MACHINES.match(national):
        raise NotMobile("is a machine or data card")
    if national.startswith(_SATELLITE):
        raise NotMobile("is a satellite number")
    if phonenumbers.number_type(number) is not PhoneNumberType.MOBILE and national[:3] not in _OVERLAY:
        raise NotMobile("is not in an allotted mobile range")
    name = carrier.name_for_number(number, "zh")
    return f"+86{national}", _NAMES.get(name) or _OVERLAY.get(national[:3])
