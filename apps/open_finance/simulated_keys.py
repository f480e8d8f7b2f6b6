"""Our keys where other banks are simulated: made by the first process that starts, and kept in the table.

No directory lists us there, so there is nothing that an operator could bring, and a development stack or a
preview starts with nobody's help. They lie beside what they seal, under the table's own encryption alone.
Among real banks the keys are in Secrets Manager, where the table's readers do not get at them.
"""

from contextlib import suppress

from apps.kit import dynamo
from apps.kit.dynamo import Client, ConditionFailed, OutcomeUnknown
from apps.ledger.items import attributes, key
from apps.open_finance import keys

_PLACE = key("OURSELVES", "KEYS")


def document(client: Client, table: str) -> str:
    """The keys' document (`keys.OurKeys`), one for all processes and for good. Raises `Unavailable`."""
    while (item := dynamo.item(client, table, _PLACE)) is None:
        # Whoever was first, and whatever became of this write: the next look tells.
        with suppress(ConditionFailed, OutcomeUnknown):
            dynamo.write(
                client.put_item,
                TableName=table,
                Item=_PLACE | attributes({"document": keys.made()}),
                ConditionExpression="attribute_not_exists(pk)",
            )
    return str(item["document"]["S"])
