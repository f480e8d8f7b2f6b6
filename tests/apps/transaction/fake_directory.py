"""Who looks Pix keys up, in memory."""

from collections.abc import Mapping

from apps.ledger.account import Refusal
from apps.ledger.charge import Charge
from apps.pix.br_code import StaticCode
from apps.pix.spi import Party
from apps.transaction.destination import Destinations, Found, PixKey
from apps.transaction.qr_codes import decoded

MARIA = Party("18236120", "31827465026", "987654321", "TRAN", "0001", "Maria da Silva")
MARIAS_KEY = "maria.silva@example.com"


class FakeDirectory:
    """`found` by key; a key that is not there is nobody's. `asked` are the keys looked up, each with its
    payment's id and the caller's authorization; `failure` is raised instead of any answer."""

    def __init__(self) -> None:
        self.found: dict[str, Found] = {MARIAS_KEY: Found(MARIAS_KEY, MARIA, None)}
        self.asked: list[tuple[str, str, str]] = []
        self.failure: Exception | None = None

    def find(self, key: PixKey, end_to_end_id: str) -> Found:
        self.asked.append((key.key, end_to_end_id, key.authorization))
        if self.failure is not None:
            raise self.failure
        if key.key not in self.found:
            raise Refusal("key_not_found", "Nobody has this key.")
        return self.found[key.key]


class FakeAccounts:
    """The accounts here: `parties` by account id."""

    def __init__(self, parties: Mapping[str, Party]) -> None:
        self.parties = dict(parties)

    def party(self, account_id: str) -> Party | None:
        return self.parties.get(account_id)

    def account_at(self, branch: str, number: str) -> str | None:
        place = (branch.zfill(4), number)
        ids = (each for each, party in self.parties.items() if (party.branch, party.account) == place)
        return next(ids, None)


class StaticCodes:
    """Reads codes that name keys; there is no charge."""

    def read(self, text: str) -> StaticCode | Charge:
        code = decoded(text)
        assert isinstance(code, StaticCode)
        return code


class NobodysKeys:
    """Nobody has a key of their own."""

    def account_of(self, key: str, authorization: str) -> str | None:
        return None


def destinations(
    parties: Mapping[str, Party], directory: FakeDirectory | None = None, ispb: str = "99999004"
) -> Destinations:
    """Who can be paid in a test."""
    return Destinations(ispb, FakeAccounts(parties), directory or FakeDirectory(), StaticCodes())
