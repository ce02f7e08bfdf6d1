"""A report as plain text and as one page of HTML, for sites that read either."""

import textwrap
from html import escape
from typing import Final

from ichnode.domain.identity import RESEARCH_NOTICE
from ichnode.report.reading import Reading, Row

LABEL: Final = 44  # columns of the labels
COLUMNS: Final = 110
NOTE: Final = " " * 8
MARKS: Final = {"present": "[x]", "undetermined": "[?]", "absent": "[ ]", "": "   "}

STYLE: Final = """
body { background: #101214; color: #e8ebef; font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
  padding: 0 1rem; }
h1 { font-size: 1.6rem; margin: 1rem 0 .5rem; }
h2 { font-size: 1.05rem; color: #a0a8b2; margin: 2rem 0 .3rem; border-bottom: 1px solid #3a4149; }
.notice { background: #e2a820; color: #000; font-weight: 600; padding: .4rem .8rem; }
.remark { border-left: 4px solid #e2a820; padding-left: .8rem; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 400; color: #a0a8b2; width: 42%; padding: .2rem 1rem .2rem 0; vertical-align: top; }
td { padding: .2rem 0; vertical-align: top; overflow-wrap: anywhere; }
.note { color: #a0a8b2; font-size: .9rem; }
.present td { font-weight: 600; } .present th { color: inherit; font-weight: 600; }
.present td::before { content: "\\25CF  "; color: #ff4d40; }
.undetermined td::before { content: "\\25D0  "; color: #e2a820; }
.absent td::before { content: "\\25CB  "; }
.present .note { font-weight: 400; }
@media print { body { background: #fff; color: #000; } h2, th, .note { color: #444; } }
"""


def as_text(reading: Reading) -> str:
    """Plain text of at most COLUMNS columns where words allow it; ends with a line feed."""
    lines = [reading.title, "=" * len(reading.title), *reading.remarks]
    for section in reading.sections:
        lines += ["", section.heading, "-" * len(section.heading)]
        for row in section.rows:
            lines += _text_row(row)
    return "\n".join(lines) + "\n"


def as_html(reading: Reading) -> str:
    """One page that needs nothing beside itself; every word of the report is escaped."""
    notice, remarks = RESEARCH_NOTICE, [remark for remark in reading.remarks if remark != RESEARCH_NOTICE]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8>",
        f"<title>{escape(reading.title)}</title><style>{STYLE}</style>",
        f"<p class=notice>{escape(notice)}</p><h1>{escape(reading.title)}</h1>",
        *(f"<p class=remark>{escape(remark)}</p>" for remark in remarks),
    ]
    for section in reading.sections:
        parts.append(f"<h2>{escape(section.heading)}</h2><table>")
        parts += [_html_row(row) for row in section.rows]
        parts.append("</table>")
    return "\n".join(parts) + "</html>\n"


def _text_row(row: Row) -> list[str]:
    lead = f"{MARKS[row.state]} {row.label + ':':{LABEL}} "
    lines = _wrapped(row.value, lead, " " * (LABEL + 5))
    return [*lines, *(line for note in row.notes for line in _wrapped(note, NOTE, NOTE))]


def _wrapped(words: str, first: str, others: str) -> list[str]:
    """Broken between words only, for a UID in two lines is none."""
    wrapper = textwrap.TextWrapper(COLUMNS, break_long_words=False, break_on_hyphens=False)
    wrapper.initial_indent, wrapper.subsequent_indent = first, others
    return wrapper.wrap(words)


def _html_row(row: Row) -> str:
    notes = "".join(f"<div class=note>{escape(note)}</div>" for note in row.notes)
    kind = f' class="{row.state}"' if row.state else ""
    return f"<tr{kind}><th>{escape(row.label)}</th><td>{escape(row.value)}{notes}</td></tr>"
