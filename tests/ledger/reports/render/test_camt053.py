"""camt.053.001.08: the golden file, and the order and lengths that the schema asks for."""

import re
from xml.etree import ElementTree as ET

import pytest

from florin.ledger.reports.errors import NothingToReport
from florin.ledger.reports.model import Part, Totals
from florin.ledger.reports.render.camt053 import NAMESPACE, statement_camt053
from tests.ledger.reports.render.parts import GOLDEN, LETTERHEAD, PARTS

MESSAGE_ID = "019ac0de0000700080000000ab"

SEQUENCES = {
    # Of camt.053.001.08, as far as we write it: an element's children in their order.
    "Document": "BkToCstmrStmt",
    "BkToCstmrStmt": "GrpHdr Stmt Stmt*",
    "GrpHdr": "MsgId CreDtTm MsgRcpt? MsgPgntn? OrgnlBizQry? AddtlInf?",
    "Stmt": "Id StmtPgntn? ElctrncSeqNb? RptgSeq? LglSeqNb? CreDtTm? FrToDt? CpyDplctInd? RptgSrc? Acct"
    " RltdAcct? Intrst* Bal Bal* TxsSummry? Ntry* AddtlStmtInf?",
    "FrToDt": "FrDtTm ToDtTm",
    "Acct": "Id Tp? Ccy? Nm? Prxy? Ownr? Svcr?",
    "Acct/Id": "Othr",
    "Othr": "Id SchmeNm? Issr?",
    "Prxy": "Tp? Id",
    "Prxy/Tp": "Prtry",
    "Svcr": "FinInstnId BrnchId?",
    "FinInstnId": "BICFI? ClrSysMmbId? LEI? Nm? PstlAdr? Othr?",
    "Bal": "Tp CdtLine* Amt CdtDbtInd Dt Avlbty*",
    "Bal/Tp": "CdOrPrtry SubTp?",
    "CdOrPrtry": "Cd",
    "Dt": "DtTm",
    "TxsSummry": "TtlNtries? TtlCdtNtries? TtlDbtNtries? TtlNtriesPerBkTxCd*",
    "TtlNtries": "NbOfNtries? Sum? TtlNetNtry?",
    "TtlNetNtry": "Amt CdtDbtInd",
    "TtlCdtNtries": "NbOfNtries? Sum?",
    "TtlDbtNtries": "NbOfNtries? Sum?",
    "Ntry": "NtryRef? Amt CdtDbtInd RvslInd? Sts BookgDt? ValDt? AcctSvcrRef? Avlbty* BkTxCd ComssnWvrInd?"
    " AddtlInfInd? AmtDtls? Chrgs? TechInptChanl? Intrst? CardTx? NtryDtls* AddtlNtryInf?",
    "Sts": "Cd",
    "BookgDt": "DtTm",
    "ValDt": "DtTm",
    "BkTxCd": "Domn? Prtry?",
    "Prtry": "Cd Issr?",
    "NtryDtls": "Btch? TxDtls*",
    "TxDtls": "Refs?",
    "Refs": "EndToEndId?",
}
MAX35 = r".{1,35}"
DECIMAL = r"[0-9]{1,18}(\.[0-9]{1,5})?"
TEXTS = {
    **dict.fromkeys(("MsgId", "Stmt/Id", "NtryRef", "AcctSvcrRef", "EndToEndId", "Prtry/Cd", "Issr"), MAX35),
    "Othr/Id": r".{1,34}",
    "Acct/Nm": r".{1,70}",
    "Prxy/Id": r".{1,2048}",
    "Tp/Prtry": MAX35,
    "FinInstnId/Nm": r".{1,140}",
    "AddtlNtryInf": r"(?s:.{1,500})",
    "Ccy": r"[A-Z]{3}",
    "CdOrPrtry/Cd": r"OPBD|CLBD",
    "Sts/Cd": r"BOOK",
    "CdtDbtInd": r"CRDT|DBIT",
    "RvslInd": r"true",
    "NbOfNtries": r"[0-9]{1,15}",
    **dict.fromkeys(("Amt", "Sum"), DECIMAL),
    **dict.fromkeys(("CreDtTm", "FrDtTm", "ToDtTm", "DtTm"), r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z"),
}


def written(parts: list[Part]) -> bytes:
    """The whole message."""
    return b"".join(statement_camt053(parts, LETTERHEAD, message_id=MESSAGE_ID))


def check(element: ET.Element, parent: str = "") -> None:
    """The element's children and text are what the schema has there."""
    namespace, name = element.tag[1:].split("}")
    assert namespace == NAMESPACE
    children = [child.tag.rpartition("}")[2] for child in element]
    if not children:
        pattern = TEXTS.get(f"{parent}/{name}") or TEXTS[name]
        assert re.fullmatch(pattern, element.text or ""), (parent, name, element.text)
        return
    sequence = SEQUENCES.get(f"{parent}/{name}") or SEQUENCES[name]
    pattern = "".join(
        f"({part.rstrip('?*')} ){part[-1] if part[-1] in '?*' else ''}" for part in sequence.split()
    )
    assert re.fullmatch(pattern, "".join(f"{child} " for child in children)), (name, children)
    for child in element:
        check(child, name)


def test_a_statement_is_written_as_the_golden_file() -> None:
    assert written(PARTS) == (GOLDEN / "statement.camt053.xml").read_bytes()


def test_elements_and_texts_are_those_of_the_schema() -> None:
    check(ET.fromstring(written(PARTS)))


def test_balances_and_entries_lead_from_opening_to_closing() -> None:
    names = {"c": NAMESPACE}
    for statement in ET.fromstring(written(PARTS)).iterfind(".//c:Stmt", names):
        total = 0
        figures = {}
        for balance in statement.iterfind("c:Bal", names):
            figures[balance.findtext(".//c:Cd", namespaces=names)] = _signed(balance)
        for entry in statement.iterfind("c:Ntry", names):
            total += _signed(entry)
        assert figures["OPBD"] + total == figures["CLBD"]


def _signed(element: ET.Element) -> int:
    names = {"c": NAMESPACE}
    digits = (element.findtext("c:Amt", namespaces=names) or "").replace(".", "")
    return int(digits) * (1 if element.findtext("c:CdtDbtInd", namespaces=names) == "CRDT" else -1)


def test_characters_that_xml_has_no_place_for_are_replaced() -> None:
    text = written(PARTS).decode()
    assert "Привет, 日本\N{REPLACEMENT CHARACTER}" in text
    assert "\x01" not in text


def test_a_message_has_at_least_one_statement() -> None:
    nothing: list[Part] = [Totals()]
    with pytest.raises(NothingToReport):
        statement_camt053(nothing, LETTERHEAD, message_id=MESSAGE_ID)
