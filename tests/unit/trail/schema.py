"""The judge of audit messages: the standard's schema, by libxml2, and the tables of PS3.15 A.5.3."""

from pathlib import Path

from lxml import etree

GRAMMAR = etree.RelaxNG(etree.parse(str(Path(__file__).with_name("audit_message.rng"))))
TRANSFER_ROLES = {"110152", "110153"}


def errors(message: bytes | str) -> list[str]:
    """What the schema holds against a message, and what the table of its event asks for and it lacks."""
    root = etree.fromstring(message)
    if not GRAMMAR.validate(root):
        return [str(error) for error in GRAMMAR.error_log]
    return list(_missing(root))


def _missing(root):
    event = root.find("EventIdentification")
    kind, action = event.find("EventID").get("csd-code"), event.get("EventActionCode")
    roles = {role.get("csd-code") for role in root.iter("RoleIDCode")}
    things = {code.get("csd-code") for code in root.iter("ParticipantObjectIDTypeCode")}
    wanted = {  # A.5.3: actions, roles, what it is about, whether a type is mandatory
        "110100": ("E", {"110150"}, set(), True),
        "110101": ("R", set(), {"12"}, False),
        "110102": ("E", TRANSFER_ROLES, {"110180", "2"}, False),
        "110103": ("CRUD", set(), {"110180", "2"}, False),
        "110104": ("CRU", TRANSFER_ROLES, {"110180", "2"}, False),
        "110105": ("D", set(), {"110180", "2"}, False),
        "110107": ("C", {"110155"}, {"110180", "2"}, False),
        "110113": ("E", set(), {"110182"}, True),
    }
    actions, needed_roles, needed_things, needs_type = wanted[kind]
    if action not in actions:
        yield f"{kind} with action {action}"
    if not needed_roles <= roles:
        yield f"{kind} lacks the roles {needed_roles - roles}"
    if not needed_things <= things:
        yield f"{kind} lacks the objects {needed_things - things}"
    if needs_type and event.find("EventTypeCode") is None:
        yield f"{kind} without a type"
    if kind == "110113" and not [
        d for d in root.iter("ParticipantObjectDetail") if d.get("type") == "Alert Description"
    ]:
        yield "an alert without its description"
