"""What is UCloud's own, beyond what holds for every vendor."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import httpx
import pytest

from harness.domain import DeliveryState, Purpose, Reason, ReviewDraft, ReviewVerdict, Subject
from harness.errors import VendorTrouble
from harness.flow import play
from tests.vendors.samples import make, message
from tests.vendors.test_conversations import EPOCH, truth_with
from vendors import signing, ucloud
from vendors.sandbox.door import Reply, Turned
from vendors.sandbox.fate import claim_of
from vendors.sandbox.world import World

MUTATIONS: list[tuple[str, Any, str, Any]] = [
    ("parameters are not sorted", ucloud, "string_to_sign",
     lambda fields: "".join(f"{name}{fields[name]}" for name in fields)),
    ("parameters are parted", ucloud, "string_to_sign",
     lambda fields: "&".join(f"{name}={fields[name]}" for name in sorted(fields))),
    ("values only", ucloud, "string_to_sign", lambda fields: "".join(fields[name] for name in sorted(fields))),
    ("the key is left out", ucloud, "signature",
     lambda fields, key: signing.sha1_hex(ucloud.string_to_sign(fields).encode())),
    ("the key stands in front", ucloud, "signature",
     lambda fields, key: signing.sha1_hex(f"{key}{ucloud.string_to_sign(fields)}".encode())),
    ("the digest is of another kind", signing, "sha1_hex", signing.md5_hex),
    ("the digest in capitals", signing, "sha1_hex", lambda data: hashlib.sha1(data).hexdigest().upper()),
    ("lists are counted from one", ucloud, "flattened",
     lambda fields: {f"{name}.{place}" if not isinstance(value, str) else name: one
                     for name, value in fields.items()
                     for place, one in enumerate([value] if isinstance(value, str) else value, 1)}),
    ("a batch is not packed", ucloud, "packed", json.dumps),
]  # fmt: skip


# --- the signature and what is sent -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields, key, wanted",
    [
        ({"foo": "bar"}, "my_private_key", "634edc1bb957c0d65e5ab5494cf3b7784fbc87af"),
        (
            {"foo": "bar", "PublicKey": "my_public_key"},
            "my_private_key",
            "d4411ab30953fb0bbcb1e7313081f05e4e91a394",
        ),
        (
            {
                "Action": "SendUSMSMessage",
                "PhoneNumbers.0": "13800000000",
                "PublicKey": "pub",
                "SigContent": "UCloud",
                "TemplateId": "UTA1",
                "TemplateParams.0": "1234",
            },
            "priv",
            "fae798669acc2d4ac300df4a193d672a8eac0379",
        ),
    ],
)
def test_the_vectors_of_the_card_are_met(fields: dict[str, str], key: str, wanted: str) -> None:
    assert ucloud.signature(fields, key) == wanted


@pytest.mark.parametrize("method", ["submit", "submit_bulk"])
def test_a_message_without_a_template_is_not_sent(method: str) -> None:
    bare = message({"template": None})
    with pytest.raises(VendorTrouble, match="template") as raised:
        play(getattr(make("ucloud"), method)(bare if method == "submit" else [bare]))
    assert not raised.value.written


def test_a_bulk_of_none_asks_nothing_and_one_too_large_is_not_sent() -> None:
    assert play(make("ucloud").submit_bulk([])).outcome == ()
    with pytest.raises(VendorTrouble) as raised:
        play(make("ucloud").submit_bulk([message()] * 1001))
    assert not raised.value.written


@pytest.mark.parametrize("content", [[1], [{"Target": [1]}], [{"Target": [{"FailureDetails": "x"}]}], "x"])
def test_failures_that_cannot_be_read_leave_the_batch_in_doubt(content: Any) -> None:
    talk = play(make("ucloud").submit_bulk([message()]))
    with pytest.raises(VendorTrouble):
        talk.answer(200, {"RetCode": 18046, "SessionNo": "s", "FailContent": content})


def test_a_qualification_goes_along_and_a_project_is_named() -> None:
    case = {"options": {"qualification_id": "Q1", "signature_type": "5"}}
    draft = ReviewDraft(subject=Subject.SIGNATURE, name="n", text="某某", purpose=Purpose.NOTIFICATION, remark="r")
    request = play(make("ucloud", case).submit_signature(draft)).request
    assert request is not None
    fields = parse_qs(request.content.decode())
    assert (fields["QualificationId"], fields["SigType"], fields["Description"]) == (["Q1"], ["5"], ["r"])
    desk = Desk()
    vendor = ucloud.Vendor(
        replace(make("ucloud")._account, credentials=dict(desk.account.credentials)), make("ucloud")._tools
    )
    request = play(vendor.submit(message())).request
    assert request is not None and b"ProjectId=org-sandbox" in request.content


# --- the counterpart --------------------------------------------------------------------------------------------------


class Desk:
    """The counterpart, and ways to ask it with signatures made here."""

    def __init__(self, **options: str) -> None:
        self.world = World(truth_with("ucloud"), seed=3, epoch=EPOCH)
        self.account = self.world.accounts["you"]
        self.account.options = {**self.account.options, **options}
        self.counterpart: Any = self.world.counterparts["you"]
        self.number = next(one.number for one in self.world.people.values() if one.phone)[3:]
        self.world.file_template("you", "T", "验证码{code}，请勿告诉他人。", Purpose.VERIFICATION)
        self.world.file_template("you", "R", "旧", Purpose.NOTIFICATION, approved=False)
        self.pushed: list[Any] = []
        self.account.on_push = lambda push, kind, after: self.pushed.append(json.loads(push.body)["Data"][0])

    def ask(self, action: str, *, get: bool = False, signature: str | None = None, **fields: str) -> dict[str, Any]:
        whole = {"Action": action, "PublicKey": "sandbox-you-key", **fields}
        joined = "".join(name + whole[name] for name in sorted(whole))
        whole["Signature"] = hashlib.sha1(f"{joined}sandbox-you-secret".encode()).hexdigest()
        if signature is not None:
            whole["Signature"] = signature
        if get:
            request = httpx.Request("GET", f"https://you.sandbox/?{urlencode(whole)}")
        else:
            headers = {"content-type": "application/x-www-form-urlencoded"}
            request = httpx.Request("POST", "https://you.sandbox/", headers=headers, content=urlencode(whole))
        reply: dict[str, Any] = self.counterpart.answer(request).json()
        assert reply["Action"] == f"{action}Response"
        return reply

    def send(self, **changes: str) -> dict[str, Any]:
        fields = {
            "PhoneNumbers.0": self.number,
            "TemplateId": "T",
            "SigContent": "某某科技",
            "TemplateParams.0": "1234",
        }
        return self.ask("SendUSMSMessage", **{name: value for name, value in {**fields, **changes}.items() if value})

    def batch(self, content: Any) -> dict[str, Any]:
        written = content if isinstance(content, str) else base64.b64encode(json.dumps(content).encode()).decode()
        return self.ask("SendBatchUSMSMessage", TaskContent=written)


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"signature": ""}, 170),
        ({"signature": "x"}, 171),
        ({"PublicKey": "other"}, 172),
    ],
)
def test_the_counterpart_says_no_to_strangers(changes: dict[str, str], code: int) -> None:
    assert Desk().ask("QueryUSMSSignature", **changes)["RetCode"] == code


def test_the_counterpart_takes_a_query_too_and_knows_no_other_action() -> None:
    assert Desk().ask("QueryUSMSSignature", get=True, SigContent="某某科技")["Data"]["Status"] == 2
    assert Desk().ask("DescribeNothing", get=True)["RetCode"] == 160
    desk = Desk(qps="1")
    assert desk.send()["RetCode"] == 0
    assert desk.send()["RetCode"] == 150


@pytest.mark.parametrize(
    "changes, code",
    [
        ({"PhoneNumbers.0": ""}, 18001),
        ({"TemplateId": ""}, 18001),
        ({"UserId": "x" * 33}, 18002),
        ({"PhoneNumbers.0": "1380000"}, 18014),
        ({"SigContent": "别的"}, 18016),
        ({"TemplateId": "X"}, 18017),
        ({"TemplateId": "R"}, 18017),
        ({"TemplateParams.0": ""}, 18018),
        ({"TemplateParams.1": "2"}, 18018),
        ({f"PhoneNumbers.{nth}": "13800001234" for nth in range(1001)}, 18019),
    ],
)
def test_a_message_that_cannot_be_sent_is_refused(changes: dict[str, str], code: int) -> None:
    assert Desk().send(**changes)["RetCode"] == code


def test_a_request_has_one_session_for_all_its_numbers_and_its_receipts_name_them() -> None:
    desk = Desk(words="english")
    other = [one.number for one in desk.world.people.values() if one.phone][1][3:]
    sent = desk.send(**{"PhoneNumbers.0": f"(86){desk.number}", "PhoneNumbers.1": other, "UserId": "u1"})
    assert sent["UserId"] == "u1"
    (row,) = desk.ask("GetUSMSSendReceipt", **{"SessionNoSet.0": sent["SessionNo"]})["Data"]
    told = {receipt["Phone"]: (receipt["ReceiptResult"], receipt["UserId"]) for receipt in row["ReceiptSet"]}
    assert told == {desk.number: ("Unknow", "u1"), other: ("Unknow", "u1")}
    desk.world.clock = lambda: EPOCH + timedelta(hours=1)
    (row,) = desk.ask("GetUSMSSendReceipt", **{"SessionNoSet.0": sent["SessionNo"]})["Data"]
    assert {receipt["ReceiptResult"] for receipt in row["ReceiptSet"]} <= {"Success", "Unknow", "Fail"}
    assert desk.ask("GetUSMSSendReceipt")["RetCode"] == 18001
    many = {f"SessionNoSet.{nth}": "x" for nth in range(101)}
    assert desk.ask("GetUSMSSendReceipt", **many)["RetCode"] == 18003


def test_a_batch_tells_which_numbers_failed_and_sends_the_rest() -> None:
    desk = Desk()
    good = {"Phone": desk.number, "TemplateParams": ["1"], "UserId": "u"}
    told = desk.batch(
        [
            {"TemplateId": "T", "SigContent": "某某科技", "Target": [good, {"Phone": "1", "TemplateParams": ["1"]}]},
            {"TemplateId": "X", "SigContent": "某某科技", "Target": [good]},
        ]
    )
    assert (told["RetCode"], told["SuccessCount"]) == (18046, 1)
    assert [[target["Phone"] for target in group["Target"]] for group in told["FailContent"]] == [["1"], [desk.number]]
    assert [sending.key for sending in desk.account.sendings] == [told["SessionNo"]]


@pytest.mark.parametrize(
    "content, code",
    [("", 18001), ("?", 18000), ("eA==", 18000), ([{"a": 1}], 18000), ({"a": 1}, 18000), ([[1]], 18000), (7, 18000),
     ([{"TemplateId": "T", "Target": [{"Phone": "1"}] * 1001}], 18019)],
)  # fmt: skip
def test_a_batch_that_is_none_is_refused(content: Any, code: int) -> None:
    assert Desk().batch(content)["RetCode"] == code


@pytest.mark.parametrize(
    "reason, code, told",
    [(Reason.BALANCE, 18013, None), (Reason.SENSITIVE_CONTENT, 18023, None), (Reason.BLACKLISTED, 0, "MSBLACK"),
     (Reason.HOURS, 0, "REJECTD")],
)  # fmt: skip
def test_the_worlds_refusals_have_a_code_or_come_in_a_report(
    reason: Reason, code: int, told: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = Desk()
    monkeypatch.setattr(desk.account, "submit", lambda submission: Turned(reason=reason))
    assert desk.send()["RetCode"] == code
    assert [item["ReceiptCode"] for item in desk.pushed] == ([told] if told else [])


def test_a_cap_is_told_in_a_report() -> None:
    desk = Desk(per_number_per_day="1")
    assert desk.send()["RetCode"] == desk.send()["RetCode"] == 0
    assert [item["ReceiptCode"] for item in desk.pushed] == ["LIMIT"]


def test_statistics_are_by_day_and_page_and_want_all_their_fields() -> None:
    desk = Desk()
    desk.send()
    fields = {"Domestic": "1", "StartDate": "2026-03-01", "EndDate": "2026-03-02", "Page": "0", "NumPerPage": "10",
              "OrderBy": "SendDate", "OrderType": "desc"}  # fmt: skip
    told = desk.ask("GetUSMSSendStatistics", **fields)
    assert [(row["SendDate"], row["Count"]) for row in told["Data"]] == [("2026-03-02", 1)]
    assert told["StatisticsData"]["SendCount"] == 1
    assert desk.ask("GetUSMSSendStatistics", **{**fields, "Domestic": "0"})["Data"] == []
    assert desk.ask("GetUSMSSendStatistics", **{**fields, "Page": "1"})["Data"] == []
    assert desk.ask("GetUSMSSendStatistics", **{**fields, "StartDate": "20260301"})["RetCode"] == 18002
    assert desk.ask("GetUSMSSendStatistics", **{**fields, "OrderBy": ""})["RetCode"] == 18001


def test_reviews_are_refused_for_what_is_wrong_with_them() -> None:
    desk = Desk()
    draft = {"Purpose": "3", "Template": "今日{1}", "TemplateName": "t", "UnsubscribeInfo": "拒收请回复R"}
    for wrong, code in (
        ({"Purpose": ""}, 18001),
        ({"Purpose": "9"}, 18002),
        ({"TemplateName": "x" * 33}, 18002),
        ({"UnsubscribeInfo": ""}, 18001),
    ):
        assert desk.ask("CreateUSMSTemplate", **{**draft, **wrong})["RetCode"] == code
    own = desk.ask("CreateUSMSTemplate", **draft)["TemplateId"]
    told = desk.ask("QueryUSMSTemplate", TemplateId=own)["Data"]
    assert (told["Status"], told["UnsubscribeInfo"], told["Purpose"]) == (1, "拒收请回复R", 3)
    assert desk.ask("QueryUSMSTemplate", TemplateId="T")["Data"]["Status"] == 2
    assert desk.ask("QueryUSMSTemplate", TemplateId="nothing")["RetCode"] == 18017
    paper = {"SigContent": "新签名", "SigType": "0", "SigPurpose": "0", "CertificateType": "0", "Description": "d"}
    for wrong, code in (
        ({"Description": ""}, 18001),
        ({"SigType": "6"}, 18003),
        ({"SigPurpose": "2"}, 18003),
    ):
        assert desk.ask("CreateUSMSSignature", **{**paper, **wrong})["RetCode"] == code
    sign = desk.ask("CreateUSMSSignature", **paper)["SigId"]
    assert desk.ask("QueryUSMSSignature", SigId=sign)["Data"]["Status"] == 1
    assert desk.ask("QueryUSMSSignature", SigId="nothing")["RetCode"] == 18016


def test_a_template_that_was_reviewed_is_sent_with() -> None:
    desk = Desk()
    draft = {"Purpose": "1", "Template": "码{1}与{2}", "TemplateName": "t"}
    own = desk.ask("CreateUSMSTemplate", **draft)["TemplateId"]
    review = desk.account._reviews[-1]
    desk.account._reviews[-1] = replace(review, verdict=ReviewVerdict.APPROVED, decided_at=EPOCH)
    both = {"TemplateId": own, "TemplateParams.0": "1", "TemplateParams.1": "2"}
    sent = desk.send(**both)
    assert sent["RetCode"] == 0
    assert desk.account.sendings[-1].text == "【某某科技】码1与2"


def test_pushes_say_what_became_of_a_message_and_what_was_replied() -> None:
    desk = Desk()
    desk.send(UserId="u1")
    claim = claim_of(desk.account.sendings[0])
    failed = replace(claim, state=DeliveryState.UNDELIVERED, code="MK:0001")
    (item,) = json.loads(desk.counterpart.push_reports([failed]).body)["Data"]
    assert (item["ReceiptResult"], item["ReceiptCode"], item["UserId"]) == ("发送失败", "MK:0001", "u1")
    reply = Reply(id=1, number=f"+86{desk.number}", to="1", extension="12", text="R", sent_at=EPOCH, signature="")
    told = json.loads(desk.counterpart.push_reply(reply).body)
    assert told["MsgType"] == 0 and told["Data"][0]["ExtendCode"] == "12" and told["Data"][0]["UserId"] == "u1"


@pytest.mark.parametrize(
    "status, body, is_taken",
    [(200, b'{"code":0,"message":"ok"}', True), (200, b'{"code":1}', False), (500, b'{"code":0}', False),
     (200, b"ok", False), (200, b"[]", False)],
)  # fmt: skip
def test_a_push_is_taken_if_its_answer_says_so(status: int, body: bytes, is_taken: bool) -> None:
    assert Desk().counterpart.acknowledged(status, body) is is_taken
