"""Statements as camt.053.001.08: BankToCustomerStatement of ISO 20022.

One `Stmt` per account, elements in the order of the schema's sequences. The tenant keeps the books as a bank
keeps those of its customers, so `CRDT` and `DBIT` are the ledger's own sides: what a customer holds with the
tenant is a credit balance.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from io import StringIO
from itertools import count
from typing import Final
from xml.sax.saxutils import XMLGenerator
from xml.sax.xmlreader import AttributesImpl

from florin.kernel.clock import rfc3339
from florin.kernel.ids import encode_id
from florin.ledger.model import TransferKind
from florin.ledger.reports.errors import NothingToReport
from florin.ledger.reports.model import Head, Line, Part, Section, SectionEnd, Turnover
from florin.ledger.reports.render.text import Letterhead, amount_text

NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"

_MAX_ID: Final = 35  # Max35Text
_MAX_ACCOUNT_NAME: Final = 70
_MAX_ISSUER_NAME: Final = 140
_MAX_ADDITIONAL: Final = 500

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class _Writer:
    """Elements one after another; `take` gives what has been written since it was last asked."""

    def __init__(self) -> None:
        self._buffer = StringIO()
        self._xml = XMLGenerator(self._buffer, encoding="utf-8", short_empty_elements=True)
        self._xml.startDocument()

    def open(self, *names: str, attributes: Mapping[str, str] | None = None) -> None:
        """Begins elements, each within the one before; attributes are those of the last."""
        for name in names:
            self._xml.startElement(name, AttributesImpl(dict(attributes or {}) if name == names[-1] else {}))

    def close(self, *names: str) -> None:
        """Ends elements, innermost first."""
        for name in names:
            self._xml.endElement(name)

    def leaf(self, *names: str, text: str, attributes: Mapping[str, str] | None = None) -> None:
        """Nested elements, the innermost with a text."""
        self.open(*names, attributes=attributes)
        self._xml.characters(_xml_text(text))
        self.close(*reversed(names))

    def take(self) -> bytes:
        """Bytes written since the last call."""
        text = self._buffer.getvalue()
        self._buffer.seek(0)
        self._buffer.truncate()
        return text.encode()


def statement_camt053(parts: Sequence[Part], letterhead: Letterhead, *, message_id: str) -> Iterator[bytes]:
    """The message in pieces.

    Args:
        message_id: unique for the issuer, at most 26 characters: statements are numbered after it.

    Raises:
        NothingToReport: a message has at least one statement.
    """
    if not any(isinstance(part, Section) for part in parts):
        raise NothingToReport(param="format")
    return _message(parts, letterhead, message_id)


def _message(parts: Sequence[Part], letterhead: Letterhead, message_id: str) -> Iterator[bytes]:
    xml = _Writer()
    created_at = rfc3339(letterhead.made_at)
    xml.open("Document", attributes={"xmlns": NAMESPACE})
    xml.open("BkToCstmrStmt", "GrpHdr")
    xml.leaf("MsgId", text=message_id)
    xml.leaf("CreDtTm", text=created_at)
    xml.close("GrpHdr")
    numbers = count(1)
    head: Head | None = None
    for part in parts:
        match part:
            case Section():
                head = part.head
                xml.open("Stmt")
                xml.leaf("Id", text=f"{message_id}-{next(numbers)}"[:_MAX_ID])
                xml.leaf("CreDtTm", text=created_at)
                _begin(xml, part, letterhead)
            case SectionEnd():
                xml.close("Stmt")
            case list():
                assert head is not None
                for line in part:
                    _entry(xml, line, head)
            case _:
                continue  # sums over accounts have no place in this message
        yield xml.take()
    xml.close("BkToCstmrStmt", "Document")
    yield xml.take() + b"\n"


def _begin(xml: _Writer, section: Section, letterhead: Letterhead) -> None:
    head, period = section.head, letterhead.period
    xml.open("FrToDt")
    xml.leaf("FrDtTm", text=rfc3339(period.since))
    xml.leaf("ToDtTm", text=rfc3339(period.until))
    xml.close("FrToDt")
    xml.open("Acct")
    xml.leaf("Id", "Othr", "Id", text=encode_id("acct", head.id))
    xml.leaf("Ccy", text=head.currency)
    xml.leaf("Nm", text=head.name[:_MAX_ACCOUNT_NAME])
    xml.open("Prxy")
    xml.leaf("Tp", "Prtry", text="code")
    xml.leaf("Id", text=head.code)
    xml.close("Prxy")
    xml.leaf("Svcr", "FinInstnId", "Nm", text=letterhead.issuer[:_MAX_ISSUER_NAME])
    xml.close("Acct")
    for code, balance_minor, at in (
        ("OPBD", section.opening_minor, period.since),
        ("CLBD", section.closing_minor, period.until),
    ):
        xml.open("Bal")
        xml.leaf("Tp", "CdOrPrtry", "Cd", text=code)
        _amount(xml, head.sign * balance_minor, head)
        xml.leaf("Dt", "DtTm", text=rfc3339(at))
        xml.close("Bal")
    _summary(xml, section.turnover, head)


def _amount(xml: _Writer, amount_minor: int, head: Head) -> None:
    """An amount and its side, of a figure that is positive for debits."""
    text = amount_text(abs(amount_minor), head.exponent)
    xml.leaf("Amt", text=text, attributes={"Ccy": head.currency})
    xml.leaf("CdtDbtInd", text="DBIT" if amount_minor > 0 else "CRDT")


def _summary(xml: _Writer, turnover: Turnover, head: Head) -> None:
    net_minor = turnover.debits_minor - turnover.credits_minor
    xml.open("TxsSummry", "TtlNtries")
    xml.leaf("NbOfNtries", text=str(turnover.entries))
    xml.leaf("Sum", text=amount_text(turnover.debits_minor + turnover.credits_minor, head.exponent))
    xml.open("TtlNetNtry")
    xml.leaf("Amt", text=amount_text(abs(net_minor), head.exponent))
    xml.leaf("CdtDbtInd", text="DBIT" if net_minor > 0 else "CRDT")
    xml.close("TtlNetNtry", "TtlNtries")
    for name, entries, sum_minor in (
        ("TtlCdtNtries", turnover.credit_entries, turnover.credits_minor),
        ("TtlDbtNtries", turnover.debit_entries, turnover.debits_minor),
    ):
        xml.open(name)
        xml.leaf("NbOfNtries", text=str(entries))
        xml.leaf("Sum", text=amount_text(sum_minor, head.exponent))
        xml.close(name)
    xml.close("TxsSummry")


def _entry(xml: _Writer, line: Line, head: Head) -> None:
    xml.open("Ntry")
    xml.leaf("NtryRef", text=str(line.seq))
    _amount(xml, line.amount_minor, head)
    if line.kind is TransferKind.REVERSAL:
        xml.leaf("RvslInd", text="true")
    xml.leaf("Sts", "Cd", text="BOOK")
    xml.leaf("BookgDt", "DtTm", text=rfc3339(line.recorded_at))
    xml.leaf("ValDt", "DtTm", text=rfc3339(line.effective_at))
    xml.leaf("AcctSvcrRef", text=encode_id("tr", line.transfer_id))
    xml.open("BkTxCd", "Prtry")
    xml.leaf("Cd", text=line.kind.value)
    xml.leaf("Issr", text="Florin")
    xml.close("Prtry", "BkTxCd")
    if line.correlation_id and len(line.correlation_id) <= _MAX_ID:
        xml.leaf("NtryDtls", "TxDtls", "Refs", "EndToEndId", text=line.correlation_id)
    if line.description:
        xml.leaf("AddtlNtryInf", text=line.description[:_MAX_ADDITIONAL])
    xml.close("Ntry")


def _xml_text(text: str) -> str:
    """The text without characters that XML 1.0 (section 2.2) has no place for."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
