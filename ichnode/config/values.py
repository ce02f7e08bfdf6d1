"""The kinds of value in config.toml, and what all its tables have in common."""

from ipaddress import IPv4Network, IPv6Network, ip_interface, ip_network
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field


def _network(value: object) -> IPv4Network | IPv6Network:
    try:
        found = ip_interface(str(value)).network
    except ValueError as error:
        raise ValueError(f"is no address or network in CIDR notation: {error}") from error
    try:
        return ip_network(str(value))
    except ValueError as error:
        raise ValueError(f"names an address within a network: write {found}, not {value}") from error


AETitle = Annotated[str, Field(min_length=1, max_length=16, pattern=r"^[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]*$")]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0)]
Days = Annotated[float, Field(gt=0)]
Pattern = Annotated[str, Field(min_length=1)]
Network = Annotated[IPv4Network | IPv6Network, BeforeValidator(_network)]
DnsName = Annotated[str, Field(min_length=1, max_length=253)]
Uid = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)+$", max_length=64)]
OneLine = Annotated[
    str, Field(min_length=1, max_length=64, pattern=r"^[ -\[\]-~]*$")
]  # what a DICOM LO takes, in ASCII


class Section(BaseModel):
    """A table of config.toml: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def section_of(section: type[Section], key: str) -> type[Section]:
    """The section class behind a key, through tuples and optionals; the class itself for a plain value."""
    seen = [section.model_fields[key].annotation]
    while seen:
        kind: Any = seen.pop()
        if isinstance(kind, type) and issubclass(kind, Section):
            return kind
        seen.extend(getattr(kind, "__args__", ()))
    return section
