"""From first consent to last revocation in one process: our service and the banks check each other."""

from tests.apps.open_finance.stage import CAJU, IPE, JATOBA, Stage


def test_two_banks_are_linked_seen_as_one_paid_from_and_let_go(stage: Stage) -> None:
    ipe, jatoba = stage.linked(IPE), stage.linked(JATOBA)
    assert [len(each["accounts"]) for each in (ipe, jatoba)] == [2, 2]
    seen = stage.get("/linked-accounts").json()["accounts"]
    assert {each["institution"] for each in seen} == {"Banco Ipê", "Jatobá Pagamentos"}
    assert all(each["available_cents"] == 232_105 and not each["stale"] for each in seen)

    payee = stage.bank(JATOBA).customers["52998224725"].accounts[0]
    body = {
        "from_account": ipe["accounts"][0]["account_id"],
        "to": {
            "bank": {
                "ispb": "99999102",
                "branch": "0001",
                "number": payee.number + payee.check_digit,
                "account_type": "CACC",
                "tax_id": "52998224725",
                "name": "Ana Souza",
            }
        },
        "amount_cents": 2_345,
    }
    started = stage.post("/payment-initiations", body)
    assert started.status_code == 201, started.text
    url = started.json()["authorisation_url"]
    back = stage.come_back(stage.browser.agree(url, "52998224725", first_only=True))
    assert back.json()["status"] == "PROCESSING", stage.get("/payment-initiations").text
    path = started.headers["location"]
    stage.time.skip(seconds=5)
    assert stage.get(path).json()["status"] == "SETTLED"
    after = {
        (each["institution"], each["account_id"]): each["available_cents"]
        for each in stage.get("/linked-accounts").json()["accounts"]
    }
    assert after[("Banco Ipê", ipe["accounts"][0]["account_id"])] == 232_105 - 2_345
    assert after[("Jatobá Pagamentos", jatoba["accounts"][0]["account_id"])] == 232_105 + 2_345

    assert stage.delete(f"/links/{ipe['link_id']}").status_code == 204
    assert [each.status for each in stage.bank(IPE).consents.values()] == ["REJECTED", "CONSUMED"]
    left = stage.get("/linked-accounts").json()["accounts"]
    assert {each["institution"] for each in left} == {"Jatobá Pagamentos"}
    links = {each["institution"]: each["status"] for each in stage.get("/links").json()["links"]}
    assert links == {"Banco Ipê": "REVOKED", "Jatobá Pagamentos": "ACTIVE"}
    assert stage.bank(CAJU).consents == {}
