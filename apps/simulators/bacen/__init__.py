"""Bacen for a bank that has no line to it: the DICT (API v2) and the SPI, in one process and in memory.

Faithful in messages, identifiers, states, codes, limits and timing, so that what works here can work there.
It imports nothing of the bank's own rules (`apps.pix`, `apps.ledger`): two readings of the same manuals
check each other. What is assumed is said where it is done; the two large ones in `transport`, `signature`.

Sources, as they are named in the docstrings: D2 DICT API 2.12.1 (OpenAPI); D1 the same, 1.8.0; DM Manual
Operacional do DICT 8.0; X8, X2 the XSDs pacs.008.spi.1.16 and pacs.002.spi.1.17 of the SPI's catalogue
5.13.1; MI Manual das Interfaces de Comunicação 1.12; MT Manual de Tempos do Pix 7.0.

People who may be looked up and paid, each at another bank (`population.WELL_KNOWN` has their documents):

    maria.silva@example.com    a person             blocked@example.com   her account is blocked: AC06
    +5511987650001             a person             closed@example.com    his account is closed: AC07
    52998224725                a person, by CPF     refuses@example.com   her bank says no: DS04
    11222333000181             a company            silent@example.com    his bank never answers: AB03
    12ABC34501DE35             a company of 2026    salary@example.com    a salary account: AC14
    3f1c9d52-7b1e-4c5a-9d0e-   a company, by EVP    court@example.com     EntryBlocked, cannot be looked up
      6a2b8c4d0e1f                                  fraud@example.com     EntryWithFraudRelatedRestriction
"""
