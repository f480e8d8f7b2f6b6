"""The seam where signatures would be made and checked.

Assumed, because the Manual de Segurança was not read:
- every request that adds or changes data of the DICT has a child `Signature`, and every message of the SPI an
  element `AppHdr/Sgntr`, as both specifications ask; what stands inside is not looked at, and empty will do,
  as in all published examples;
- every answer carries the same element, empty. A real one is an enveloped XMLDSig
  (http://www.w3.org/2000/09/xmldsig#), and the participant must verify it.

Whoever puts real signatures here changes these two functions; nobody else knows of them.
"""

from apps.simulators.bacen.markup import Element, find
from apps.simulators.bacen.refusals import Refused


def verify(request: Element) -> None:
    """Checks the signature of a request to the DICT. Raises `Refused`."""
    if find(request, "Signature") is None:
        raise Refused("RequestSignatureInvalid", "The request carries no Signature.")


def sign(answer: Element) -> None:
    """Signs an answer of the DICT: its first child, as in every example."""
    answer.insert(0, Element("Signature"))
