"""Why a Pix did not go through, in a code of ours that is stable and in words that its payer understands.

The SPI's codes are those of pacs.002.spi.1.17. One that is not listed here is `rejected_by_pix`: the
catalogue changes twice a year and adds.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from apps.pix.outgoing import NOT_SENT


@dataclass(frozen=True)
class Reason:
    """`code` is what a transfer keeps, `words` what its payer reads. The money is back in every case."""

    code: str
    words: str


_OURS = "The payment could not be made as we sent it. The fault is ours; we look into it."
_OTHER = Reason("rejected_by_pix", "Pix did not carry out the payment.")
_REASONS: Mapping[str, Reason] = {
    NOT_SENT: Reason("pix_not_reached", "Pix could not be reached in time. Try again later."),
    "AB03": Reason("pix_timeout", "The other bank did not answer in time. Try again later."),
    "AB09": Reason("payee_bank_failed", "Something failed at the other bank. Try again later."),
    "AB11": Reason("payee_bank_timeout", "The other bank was too slow. Try again later."),
    "AC03": Reason("payee_account_unknown", "The other bank has no such account. Check branch and number."),
    "AC06": Reason("payee_account_blocked", "The account at the other bank is blocked."),
    "AC07": Reason("payee_account_closed", "The account at the other bank is closed."),
    "AC14": Reason("payee_account_type", "The account at the other bank is of another type."),
    "AG03": Reason("payee_takes_no_such_pix", "The account at the other bank takes no Pix of this kind."),
    "AG13": Reason("payee_bank_unavailable", "The other bank takes no Pix at the moment. Try again later."),
    "AM02": Reason("amount_not_allowed", "The other bank does not take this amount."),
    "AM04": Reason("bank_settlement_failed", "We could not settle the payment at Bacen. Try again later."),
    "BE01": Reason("payee_document_wrong", "The account belongs to another CPF or CNPJ."),
    "BE17": Reason("qr_code_refused", "The other bank does not know this QR code."),
    "DS04": Reason("payee_bank_refused", "The other bank refused the payment."),
    "DS27": Reason("payee_bank_not_in_pix", "The other bank takes no part in Pix."),
    "FRAD": Reason("suspected_fraud", "The other bank suspects a fraud and refused the payment."),
    "RC10": Reason("payee_bank_unknown", "No bank that takes part in Pix has this ISPB."),
    "RR04": Reason("refused_by_regulation", "The rules that banks are under do not let this payment pass."),
    **{
        code: Reason("order_refused", _OURS)
        for code in (
            "AGNT",
            "AG12",
            "AM01",
            "AM12",
            "AM18",
            "CH11",
            "CH16",
            "DT02",
            "DT05",
            "FF07",
            "FF08",
            "RC09",
        )
    },
}
_OWN: Mapping[str, str] = {
    "hold_expired": "The payment could not be finished in time.",
    "payee_unavailable": "The account that would be paid is not there any more.",
    "payee_blocked": "The account that would be paid is blocked.",
    "payee_closed": "The account that would be paid is closed.",
}
"""Why a transfer is rejected that the SPI had no part in."""
_WORDS: Mapping[str, str] = {
    **{each.code: each.words for each in (*_REASONS.values(), _OTHER)},
    **_OWN,
}


def reason_of(spi_code: str) -> Reason:
    """What the SPI's code is to our customer."""
    return _REASONS.get(spi_code, _OTHER)


def in_words(reason: str | None) -> str | None:
    """The reason of a rejected transfer as a sentence; none where there is none."""
    return None if reason is None else _WORDS.get(reason, _OTHER.words)
