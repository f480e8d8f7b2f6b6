"""Bugs that users of other ledgers reported, and mistakes that simulators of this domain make: each with the
tests that would find it here, or with why it cannot be made here.

The ledgers are Midaz, Blnk, Formance, TigerBeetle and Fineract; an issue is named as its project numbers it.
The mistakes are numbered as in section 6 of the domain's facts.
"""

import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Known:
    """Where it was seen, what it was, and the tests against it by `path::name`; or `why` there are none."""

    seen: str
    what: str
    tests: tuple[str, ...] = ()
    why: str = ""


GROUPS = "apps/ledger/test_group_commit.py"
RELAY = "apps/consumers/test_relay_outbox.py"
CONTRACT = "contract/test_ledger.py"
FAULTS = "chaos/test_faults.py"
KILLS = "chaos/test_kill_points.py::test_death_at_any_call_loses_and_doubles_nothing"
RETURNS = "apps/ledger/test_returns.py"
SENT = "apps/ledger/test_sent.py"
INCOMING = "apps/ledger/test_incoming.py"
BACEN = "apps/simulators/bacen/test_mistakes.py"
DESTINATION = "apps/transaction/test_destination.py"
RECEIVE = "apps/consumers/test_receive_pix.py"
LINKS = "apps/open_finance/test_links.py"
LIMITS = "apps/pix/test_limits.py"
OTHER_BANK = "apps/simulators/other_bank"
HOLDER = "apps/open_finance/test_holder.py"
NO_OVERDRAFT = "No account has an overdraft or a credit limit: the limit of (c) is zero for every customer."

PEERS = (
    Known(
        "midaz#1270, midaz#1384",
        "acknowledged, then missing or wrong after the store paused or began anew",
        (KILLS, f"{FAULTS}::test_a_store_that_stops_for_longer_than_clients_wait_decides_once"),
    ),
    Known(
        "midaz#2485",
        "the driver repeated a write after a read timeout and applied it twice",
        (
            f"{CONTRACT}::test_commit_lose_the_reply_drain_the_balance_retry",
            f"{CONTRACT}::test_an_unknown_outcome_is_repeated_with_the_same_bytes_under_the_same_token",
            f"{FAULTS}::test_a_commit_whose_reply_is_lost_is_not_done_again",
        ),
    ),
    Known(
        "midaz#2499",
        "the next write went on from a stale row, and money vanished without an error",
        (
            f"{GROUPS}::test_a_failed_balance_alone_is_known_anew_and_read_only_where_nobody_told",
            f"{CONTRACT}::test_many_threads_lose_no_update_and_the_sum_stays_zero",
        ),
    ),
    Known(
        "midaz#1519",
        "two commits of one pending transfer at once both succeeded",
        (
            f"{CONTRACT}::test_parallel_settles_of_one_hold_have_one_winner",
            f"{CONTRACT}::test_settle_against_expiry_has_one_winner",
        ),
    ),
    Known("midaz#2429", "an overdraft's second leg was applied from a stale split", why=NO_OVERDRAFT),
    Known(
        "midaz#1385",
        "the balance that was shown ignored accepted transfers",
        (
            "apps/account/test_history.py::test_it_is_what_all_entries_until_then_add_up_to",
            "apps/account/test_api.py::test_without_a_moment_it_is_the_balance_of_now",
        ),
    ),
    Known(
        "midaz#1921",
        "a worker went round for ever on a malformed key",
        (
            f"{GROUPS}::test_an_id_that_no_key_can_have_fails_alone",
            "apps/consumers/test_damaged_events.py::test_the_relay_passes_a_damaged_row_over",
            f"{FAULTS}::test_poison_goes_to_the_dead_letters_as_it_was_and_holds_nobody_up",
        ),
    ),
    Known(
        "midaz#1973, midaz#678",
        "transfers cannot be asked for by account and date",
        (
            "apps/account/test_api.py::test_a_statement_is_of_the_days_that_were_asked_for",
            "apps/account/test_api.py::test_a_statement_is_of_the_kinds_that_were_asked_for",
            "apps/transaction/test_api.py::test_a_list_can_be_of_one_direction",
        ),
    ),
    Known("midaz#805", "balances by alias", why="Accounts have no aliases; a Pix key is for being paid."),
    Known(
        "midaz#593",
        "an error said nothing but that there was one",
        (
            "apps/transaction/test_api.py::test_a_refusal_is_final_and_has_its_facts",
            "apps/transaction/test_api.py::test_a_bad_request_says_where_and_reads_nothing",
        ),
    ),
    Known("midaz#1154", "back-dated transfers", why="No request names a time."),
    Known(
        "blnk#233, blnk#240",
        "balance and record were committed apart",
        (
            f"{CONTRACT}::test_a_hold_sets_money_aside_and_settling_moves_it",
            "apps/ledger/test_transfer.py::test_a_hold_writes_the_transfer_the_payers_posting_and_the_event",
            KILLS,
        ),
    ),
    Known(
        "blnk#239",
        "a version was read and then written without looking again",
        (
            f"{CONTRACT}::test_many_threads_lose_no_update_and_the_sum_stays_zero",
            "simulator/test_simulator.py::test_a_broken_rule_is_caught",
        ),
    ),
    Known(
        "blnk#181",
        "money on its way counted as available",
        (
            "apps/ledger/test_entries.py::test_held_money_that_shows_as_available_is_a_wrong_sum",
            "apps/ledger/test_account.py::test_a_hold_beyond_available_is_refused_with_what_is_there",
        ),
    ),
    Known(
        "blnk#182",
        "what was rejected could still be committed",
        (
            "apps/ledger/test_transfer.py::test_what_is_decided_stays_decided",
            f"{FAULTS}::test_a_hold_that_ended_is_not_settled_by_its_late_event",
        ),
    ),
    Known(
        "blnk, pull request 43",
        "one hold was released more than once",
        (
            "apps/ledger/test_transfer.py::test_what_is_decided_stays_decided",
            "apps/ledger/test_account.py::test_more_than_is_held_is_never_given_back_or_taken",
        ),
    ),
    Known(
        "blnk#183",
        "many in one transaction failed as soon as one had several legs",
        (
            f"{GROUPS}::test_one_that_can_never_pass_fails_alone",
            "apps/ledger/test_group.py::test_all_changes_to_one_balance_are_one_write_with_consecutive_entries",
        ),
    ),
    Known(
        "blnk#300",
        "what was to happen later never happened",
        (
            f"{CONTRACT}::test_a_hold_whose_time_is_over_goes_back",
            "apps/open_finance/test_initiations.py::test_a_scheduled_payment_is_made_on_its_day",
        ),
    ),
    Known("blnk#172, blnk#71", "which webhooks come, and silence of them", why="There are no webhooks."),
    Known(
        "blnk#359",
        "an order of lists that changes, and accounts that cannot be closed",
        (
            "apps/transaction/test_listing.py::test_no_transfer_is_lost_or_doubled_whatever_the_page_size",
            "apps/account/test_statement.py::test_no_entry_is_lost_or_doubled_whatever_the_page_size",
            "apps/account/test_api.py::test_an_empty_account_is_closed_and_closing_again_changes_nothing",
        ),
    ),
    Known("blnk#55", "the rate of money on its way was lost", why="All accounts are in one currency."),
    Known(
        "formance#1232",
        "an event was lost when it could not be published",
        (
            f"{RELAY}::test_a_row_is_deleted_only_after_the_delivery_report",
            f"{RELAY}::test_without_a_delivery_report_the_rows_stay_and_go_again",
            f"{FAULTS}::test_while_the_broker_is_down_money_is_held_and_moves_when_it_is_back",
        ),
    ),
    Known(
        "formance#364",
        "one key twice at once was answered with 200 and nothing",
        (
            f"{GROUPS}::test_one_transfer_asked_for_twice_is_held_once_and_answered_twice",
            f"{CONTRACT}::test_a_replayed_key_answers_the_first_transfer_byte_for_byte",
        ),
    ),
    Known(
        "formance stack#43",
        "the next page had forgotten the filters",
        (
            "apps/transaction/test_api.py::test_the_next_page_has_not_forgotten_what_the_first_was_asked",
            "apps/account/test_api.py::test_the_next_page_has_not_forgotten_what_the_first_was_asked",
        ),
    ),
    Known("formance#379, formance#372", "overdrafts without and with a limit", why=NO_OVERDRAFT),
    Known(
        "formance#1416",
        "a past balance was silently nothing, and was read as zero",
        (
            "apps/account/test_api.py::test_before_the_opening_there_is_no_balance_not_even_zero",
            "apps/account/test_api.py::test_a_moment_that_is_none_or_still_to_come_is_a_bad_question",
        ),
    ),
    Known(
        "formance stack#1242",
        "source and destination were taken for debit and credit",
        (
            "apps/ledger/test_entries.py::test_a_statement_shows_only_money_that_left_or_came",
            "apps/transaction/test_listing.py::test_both_parties_have_the_same_transfers_the_other_way_round",
        ),
    ),
    Known(
        "formance, hot `world`",
        "an account that everybody uses is slow",
        (
            "apps/ledger/test_account.py::test_transfers_spread_over_all_internal_items",
            f"{GROUPS}::test_holds_that_come_together_share_one_transaction_and_one_write_of_their_payer",
            f"{GROUPS}::test_who_is_on_no_balance_that_moves_again_and_again_goes_ahead",
        ),
    ),
    Known(
        "tigerbeetle#3073",
        "no authentication",
        (
            "apps/transaction/test_api.py::test_nobody_sees_anything_without_a_token",
            "apps/account/test_api.py::test_nobody_sees_anything_without_a_token",
        ),
    ),
    Known(
        "tigerbeetle#2446, #3013, #3061",
        "io_uring is blocked in containers",
        why="Nothing here asks the kernel for more than a Python program does.",
    ),
    Known(
        "tigerbeetle#2046",
        "no stream of changes",
        (f"{RELAY}::test_what_waits_is_published_in_order_and_kept_in_the_history",),
    ),
    Known(
        "tigerbeetle#2161, #2525",
        "no questions by tenant",
        (
            "apps/account/test_api.py::test_what_is_not_yours_is_not_there",
            "apps/transaction/test_api.py::test_a_list_of_an_account_that_is_not_yours_is_not_there",
        ),
    ),
    Known(
        "tigerbeetle#781, pull request 210",
        "clients panicked and timed out",
        (
            "apps/transaction/test_api.py::test_an_unknown_outcome_names_the_transfer_and_decides_nothing",
            "apps/transaction/test_api.py::test_a_ledger_that_is_away_decides_nothing",
        ),
    ),
    Known(
        "tigerbeetle, pull request 1713",
        "accounts cannot be ended",
        ("apps/account/test_api.py::test_an_empty_account_is_closed_and_closing_again_changes_nothing",),
    ),
    Known(
        "fineract 5357, 5550",
        "a job that ran twice at once posted twice",
        (
            f"{CONTRACT}::test_parallel_settles_of_one_hold_have_one_winner",
            f"{INCOMING}::test_many_workers_at_once_credit_once",
        ),
    ),
    Known(
        "fineract 4519, 2353, 2379",
        "running balances were wrong after corrections",
        (
            "apps/ledger/test_account.py::test_any_history_is_gapless_chained_and_folds_to_the_balance",
            f"{RETURNS}::test_a_rejected_return_puts_back_what_it_took",
            "apps/ledger/test_audit.py::test_it_finds_and_names",
        ),
    ),
    Known(
        "fineract 3589",
        "commands that met each other were not tried again",
        (
            f"{GROUPS}::test_conflicts_repeat_the_whole_and_after_the_third_time_its_halves",
            f"{CONTRACT}::test_contention_and_lost_requests_only_delay",
        ),
    ),
    Known(
        "fineract 2608",
        "how a request may be repeated was not said",
        (
            "apps/transaction/test_api.py::test_a_transfer_needs_a_key",
            "apps/transaction/test_api.py::test_a_key_of_another_request_is_refused_for_good",
        ),
    ),
    Known(
        "openMF web-app 3902",
        "a double click made two journal entries",
        (
            "apps/transaction/test_api.py::test_a_replayed_key_answers_the_first_bytes",
            f"{GROUPS}::test_one_transfer_asked_for_twice_is_held_once_and_answered_twice",
        ),
    ),
)

MISTAKES = (
    Known(
        "1",
        "the DICT asked for keys of one's own, transfers between accounts here sent by the SPI",
        (
            f"{BACEN}::test_1_a_key_of_ones_own_bank_is_not_answered_and_a_book_transfer_does_not_pass",
            f"{SENT}::test_a_transfer_between_accounts_here_never_leaves",
            f"{DESTINATION}::test_what_leads_to_an_account_here_is_a_transfer_between_accounts_here",
        ),
    ),
    Known(
        "2",
        "money as a float, and decimals mixed up",
        (
            "apps/test_no_floats.py::test_no_money_is_a_float",
            f"{BACEN}::test_2_amounts_have_two_decimals_on_the_wire",
        ),
    ),
    Known(
        "3",
        "end-to-end ids of another time zone, of digits alone, or used again",
        (
            f"{BACEN}::test_3_an_ispb_may_have_letters_and_case_counts",
            f"{BACEN}::test_3_only_the_identifier_of_the_look_up_gives_its_token_back",
            f"{BACEN}::test_3_a_rejected_order_has_used_its_identifier_up",
            "apps/transaction/test_destination.py::test_the_look_up_names_the_payment_that_the_order_will_name",
        ),
    ),
    Known(
        "4",
        "every look-up costs one token",
        (f"{BACEN}::test_4_a_look_up_pays_by_its_outcome_from_the_right_bucket",),
    ),
    Known(
        "5",
        "answers cached that must not be, and personal data in logs",
        (
            f"{BACEN}::test_5_what_must_not_be_cached_says_so",
            f"{BACEN}::test_5_no_document_key_account_or_payer_is_logged",
            "journeys/test_pix_in.py::test_nothing_that_a_pix_leaves_behind_says_who_paid_whom",
        ),
    ),
    Known(
        "6",
        "the DICT as JSON, and parsers that break on a new field or resolve entities",
        (
            f"{BACEN}::test_6_the_dict_speaks_xml_deletes_by_post_and_its_errors_have_their_namespace",
            f"{BACEN}::test_6_new_fields_are_read_over_and_entities_are_not_resolved",
        ),
    ),
    Known(
        "7",
        "CNPJ without letters, lost zeros, and sample documents",
        (f"{BACEN}::test_7_companies_have_letters_zeros_are_kept_and_sample_documents_are_nobodys",),
    ),
    Known(
        "8",
        "keys that are not put in order, or eleven digits taken for a telephone",
        (
            f"{BACEN}::test_8_the_dict_puts_no_key_in_order",
            f"{BACEN}::test_8_eleven_digits_are_a_document_never_a_telephone",
        ),
    ),
    Known(
        "9",
        "ACSP taken for settled, credit before ACCC, an unknown outcome taken for failure",
        (
            f"{BACEN}::test_9_nothing_is_credited_before_accc_and_who_does_not_know_asks",
            f"{RECEIVE}::test_a_payment_of_another_bank_is_promised_answered_and_credited",
            f"{SENT}::test_sent_never_expires_and_is_still_looked_at",
        ),
    ),
    Known(
        "10",
        "debits without a reservation, and events that count twice or come before what they say",
        (
            f"{CONTRACT}::test_settling_again_moves_nothing",
            f"{FAULTS}::test_records_that_come_twice_in_any_order_settle_once",
            "apps/ledger/test_transfer.py::test_a_hold_writes_the_transfer_the_payers_posting_and_the_event",
        ),
    ),
    Known(
        "11",
        "ten seconds as the time that an order has",
        (f"{BACEN}::test_11_the_limit_is_forty_seconds_not_ten",),
    ),
    Known(
        "12",
        "states of consents that are none, incomplete groups of permissions, wrong times",
        (
            f"{LINKS}::test_an_incomplete_group_is_refused_before_any_bank_hears_of_it",
            f"{OTHER_BANK}/test_data.py::test_a_consent_waits_an_hour_and_is_then_rejected",
            f"{OTHER_BANK}/test_data.py::test_a_consent_is_revoked_once_and_its_token_with_it",
            f"{OTHER_BANK}/test_payments.py::test_an_authorised_consent_is_used_within_an_hour",
            f"{HOLDER}::test_either_side_ends_a_consent_with_its_tokens",
        ),
    ),
    Known(
        "13",
        "payments that are not signed, pages with totals, ids of interaction that are not echoed",
        (
            f"{OTHER_BANK}/test_payments.py::test_a_message_signed_by_another_key_is_refused",
            f"{OTHER_BANK}/test_payments.py::test_a_key_makes_one_consent_and_another_wish_under_it_is_an_error",
            f"{OTHER_BANK}/test_data.py::test_an_interaction_id_is_echoed_in_refusals_too",
            f"{HOLDER}::test_a_statement_has_pages_but_no_totals",
        ),
    ),
    Known(
        "14",
        "night's limit for each payment or in UTC, or two periods of one night",
        (
            f"{LIMITS}::test_day_and_night_are_brasilias_and_a_night_is_one_period",
            f"{LIMITS}::test_towards_a_legal_person_the_whole_day_is_one_period",
            "simulator/test_simulator.py::test_a_broken_rule_is_caught",
        ),
    ),
    Known(
        "15",
        "returns of too much, too late or with another kind of id; salary accounts; claims on e-mail",
        (
            "apps/consumers/test_pix_returns.py::test_no_more_goes_back_than_came_and_nothing_of_a_return",
            "apps/consumers/test_pix_returns.py::test_a_return_begins_within_ninety_days",
            "apps/consumers/test_pix_returns.py::test_a_return_leaves_as_pacs_004_with_an_id_of_its_own",
            f"{BACEN}::test_15_a_salary_account_receives_no_pix",
            f"{BACEN}::test_15_ownership_is_claimed_of_telephones_alone",
            f"{BACEN}::test_15_the_second_version_is_what_is_answered",
        ),
    ),
)


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((TESTS / path).read_text())
    return frozenset(node.name for node in tree.body if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("known", [*PEERS, *MISTAKES], ids=lambda known: known.seen)
def test_each_is_tested_here_or_cannot_be_made(known: Known) -> None:
    assert bool(known.tests) is not bool(known.why)
    for each in known.tests:
        path, _, name = each.partition("::")
        assert name.startswith("test_")
        assert name in names_in(path), f"there is no {each}"


def test_no_mistake_is_left_out() -> None:
    assert [each.seen for each in MISTAKES] == [str(number) for number in range(1, 16)]
