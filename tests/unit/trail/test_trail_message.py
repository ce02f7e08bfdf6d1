import pytest
from lxml import etree

from ichnode.domain.outputs import Peer
from ichnode.trail import codes, events
from ichnode.trail.message import Gravity, to_xml
from tests.unit.trail.schema import errors

CT, SR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.88.34"
PACS = Peer(name="pacs", host="pacs.example", port=104, ae_title="PACS", calling_ae_title="ICHNODE")
CALLER = ("CT1", "10.1.2.3")
EVENTS = {
    "started": (events.started,),
    "stopped": (events.stopped, Gravity.MAJOR),
    "associated": (events.associated, *CALLER),
    "refused": (events.associated, *CALLER, "not on the list of allowed peers", "", 17),
    "receiving": (events.receiving, *CALLER, "1.2.3", {CT: 1}),
    "received": (lambda us: events.received(us, *CALLER, "1.2.3", {CT: 30, SR: 1}, is_new=True, in_order=True),),
    "received again, cut": (lambda us: events.received(us, *CALLER, "1.2.3", {CT: 3}, is_new=False, in_order=False),),
    "quarantined": (events.quarantined, *CALLER, "1.2.3", 2, "its series was begun in another study"),
    "imported": (events.imported, "anna@host", "file:///media/cd", "1.2.3"),
    "analysed": (lambda us: events.analysed(us, "1.2.3", {CT: 30}, is_done=True),),
    "failed": (lambda us: events.analysed(us, "1.2.3", {CT: 30}, is_done=False),),
    "made": (events.made, "1.2.3", {SR: 1}),
    "sending": (events.sending, PACS, "1.2.3", {SR: 1}),
    "sent": (events.sent, PACS, "1.2.3", {SR: 1}, 0),
    "sent in part": (events.sent, PACS, "1.2.3", {SR: 1}, 2),
    "replay": (events.asked_for, "anna@host", codes.REPLAY, "1.2.3"),
    "resend": (events.asked_for, "anna@host", codes.RESEND, "1.2.3"),
    "deleted": (events.deleted, "1.2.3", "older than 30 days"),
    "purged": (events.purged, "anna@host", "1.2.3", "purged by anna@host: 30 images"),
    "altered": (events.altered, "1.2.3", "1.2.3.4"),
    "damaged": (events.damaged, "record 3 does not fit its hash"),
    "resumed": (events.resumed, 12, 1795305000.0),
    "acknowledged": (events.acknowledged, "anna@host", "3 alarms acknowledged: refusals"),
    "log read": (events.log_read, "anna@host", "file:///var/lib/ichnode/audit"),
}


@pytest.mark.parametrize("name", EVENTS)
def test_every_event_is_a_message_of_the_standards_schema_and_of_its_table(name, us):
    event, *arguments = EVENTS[name]

    message = to_xml(event(us, *arguments), us.source)

    assert errors(message) == []
    assert "\n" not in message


def test_every_function_of_the_events_is_among_these():
    made = {f.__name__ for f in vars(events).values() if getattr(f, "__module__", "") == events.__name__}
    asked = {event.__name__ for event, *_ in EVENTS.values()} | {"received", "analysed"}
    assert {name for name in made if name[0] in "abcdefghijklmnopqrstuvwxyz"} <= asked


def test_what_is_no_message_is_seen(us):
    message = to_xml(events.sent(us, PACS, "1.2.3", {SR: 1}, 0), us.source)
    assert errors(message.replace('EventOutcomeIndicator="0"', 'EventOutcomeIndicator="1"'))
    assert errors(message.replace('csd-code="110152"', 'csd-code="110150"'))
    assert errors(message.replace("<ParticipantObjectName />", "", 1))
    assert errors(message.replace('csd-code="2"', 'csd-code="3"'))


def test_what_comes_from_the_wire_cannot_break_the_xml_or_its_line(us):
    title, address = 'A"<&>\n\x00\x1b[2J\ud800', "::1\r\n17 fake"

    message = to_xml(events.associated(us, title, address, "because\x00\nof it"), us.source)

    assert errors(message) == []
    assert not {"\n", "\r", "\x00", "\x1b"} & set(message)
    participants = etree.fromstring(message).findall("ActiveParticipant")
    assert participants[1].get("UserID") == 'A"<&>???[2J?'


def test_the_sender_is_the_source_and_the_receiver_the_destination(us):
    received = etree.fromstring(to_xml(events.receiving(us, *CALLER, "1.2.3", {CT: 1}), us.source))
    sent = etree.fromstring(to_xml(events.sending(us, PACS, "1.2.3", {SR: 1}), us.source))

    def roles(root):
        return {
            p.get("AlternativeUserID"): p.find("RoleIDCode").get("originalText") for p in root.iter("ActiveParticipant")
        }

    assert roles(received) == {"AETITLES=CT1": "Source Role ID", "AETITLES=ICHNODE": "Destination Role ID"}
    assert roles(sent) == {"AETITLES=ICHNODE": "Source Role ID", "AETITLES=PACS": "Destination Role ID"}


def test_the_time_is_utc_with_its_zone(us):
    root = etree.fromstring(to_xml(events.started(us), us.source))
    assert root.find("EventIdentification").get("EventDateTime") == "2026-11-22T00:00:00.500Z"
