"""How routers are reached from outside of the cluster: part of the operator's configuration."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gemma_operator.api.base import ApiModel

_PLACE = r"\{router\}|\{namespace\}"
HostTemplate = Annotated[
    str, StringConstraints(pattern=rf"^([a-z0-9]|{_PLACE})([-.a-z0-9]|{_PLACE})*([a-z0-9]|{_PLACE})$", max_length=253)
]
"""A host name in which `{router}` and `{namespace}` stand for those of each router."""
PathPrefix = Annotated[str, StringConstraints(pattern=r"^/[-._~/A-Za-z0-9]*$", max_length=200)]


class _Exposure(ApiModel):
    """What an Ingress and an HTTPRoute share."""

    hosts: list[HostTemplate] = Field(
        min_length=1,
        max_length=16,
        description="Host names, such as `{router}.{namespace}.example.com`. `{namespace}` may be left out where "
        "`namespaces` names one only: a host of several namespaces would mix their requests and keys.",
    )
    paths: list[PathPrefix] = Field(
        default_factory=lambda: ["/v1"], min_length=1, max_length=16, description="Path prefixes that may be reached."
    )
    annotations: dict[str, str] = Field(
        default_factory=dict, description="Annotations on it, such as the issuer of certificates; they win."
    )
    timeout_seconds: int | None = Field(
        3600,
        ge=1,
        le=86_400,
        description="Seconds that one request may take, its stream included; null: as long as the controller likes.",
    )


class IngressSettings(_Exposure):
    """An Ingress for each router."""

    class_name: str | None = Field(None, max_length=253, description="IngressClass; without one the cluster's default.")
    controller: Literal["nginx", "haproxy", "contour", "alb"] | None = Field(
        None,
        description="Controller whose annotations for long streams without buffering are written: an Ingress itself "
        "has no field for them. Without one `annotations` has to say so where the controller needs it.",
    )
    tls: bool = Field(True, description="Serve the hosts over TLS. Without it keys travel in clear text.")
    tls_secret: str | None = Field(
        None,
        pattern=rf"^([-.a-z0-9]|{_PLACE})+$",
        max_length=253,
        description="Secret with the certificate, in the namespace of the router, such as `{router}-tls`; without one "
        "the controller's own certificate.",
    )


class ParentRef(ApiModel):
    """A Gateway that an HTTPRoute attaches to."""

    name: str = Field(min_length=1, max_length=253, description="Name of the Gateway.")
    namespace: str | None = Field(
        None, min_length=1, max_length=63, description="Its namespace; without one that of the router."
    )
    section_name: str | None = Field(
        None, min_length=1, max_length=253, description="Its listener, which ends TLS; without one all of them."
    )
    port: int | None = Field(None, ge=1, le=65_535, description="Port of the listener.")


class HttpRouteSettings(_Exposure):
    """An HTTPRoute of the Gateway API for each router."""

    parent_refs: list[ParentRef] = Field(min_length=1, max_length=32, description="Gateways that it attaches to.")
