"""Routes of pairing: a phone shows its code, the owner sees who is paired, lets others in and out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import FastAPI, Path
from starlette.requests import Request
from starlette.responses import Response

from web.access import DEVICES_PATH, PAIR_PATH, caller_of, device_cookie, is_encrypted
from web.device_shelf import LONGEST_NAME, Device, DeviceKind, DeviceShelf
from web.documents import encode_json
from web.errors import ApiError
from web.json_body import read_json_object
from web.pairing import Invitation, Pairing, pairing_link
from web.service_errors import service_errors_answered

_NO_STORE = {"cache-control": "no-store"}
_PAIR_ALLOWED = 'a code is presented as {"code": "ABCD-2345", "name": "my phone"}'
_ADD_ALLOWED = (
    'to let a phone in: {"kind": "device"}, which gives a code; to let a script in: '
    '{"kind": "token", "name": "logger"}, which gives its token'
)
_NAME = {"type": "string", "description": f"only shown; cut at {LONGEST_NAME} characters"}

DeviceId = Annotated[str, Path(alias="id", max_length=64)]


def add_devices_routes(app: FastAPI, shelf: DeviceShelf, pairing: Pairing) -> None:
    """Adds the routes to ``app``, behind :class:`web.access.Access`."""

    @app.post(
        PAIR_PATH,
        summary="Present the code that is shown on the machine in the car; pairs this browser by a cookie",
        status_code=201,
        response_class=Response,
        responses={
            403: {"description": "not the code that is shown now"},
            409: {"description": "no more devices are allowed"},
            429: {"description": "too many wrong codes from this address"},
        },
        openapi_extra=_json_body({"code": {"type": "string"}, "name": _NAME}, ["code"]),
    )
    async def pair(request: Request) -> Response:
        code, name = await _presented(request)
        with service_errors_answered():
            pairing.redeem(code, caller_of(request.scope).address)
            device, credential = await shelf.add(DeviceKind.DEVICE, name)
        cookie = device_cookie(credential, encrypted=is_encrypted(request.scope))
        return _json(device_document(device), 201, {**_NO_STORE, "set-cookie": cookie})

    @app.get(
        DEVICES_PATH,
        summary="Paired devices and tokens, and which of them asks",
        response_class=Response,
    )
    async def list_devices(request: Request) -> Response:
        caller = caller_of(request.scope)
        return _json(
            {
                "devices": [device_document(device) for device in shelf.devices()],
                "you": {"id": None if caller.device is None else caller.device.id, "local": caller.local},
            }
        )

    @app.post(
        DEVICES_PATH,
        summary="Let a phone in by a code that is good once, or make a token for a script",
        status_code=201,
        response_class=Response,
        responses={409: {"description": "no more devices are allowed"}},
        openapi_extra=_json_body(
            {"kind": {"type": "string", "enum": [str(kind) for kind in DeviceKind]}, "name": _NAME}, ["kind"]
        ),
    )
    async def add_device(request: Request) -> Response:
        kind, name = await _addition(request)
        if kind is DeviceKind.DEVICE:
            return _json(_invitation_document(pairing.invite(), request), 201)
        with service_errors_answered():
            device, credential = await shelf.add(kind, name)
        return _json({**device_document(device), "token": credential}, 201)

    @app.delete(
        DEVICES_PATH + "/{id}",
        summary="Let a device or token in no more, from now on",
        status_code=204,
        response_class=Response,
        responses={404: {"description": "there is no such device or token"}},
    )
    async def revoke_device(device_id: DeviceId) -> Response:
        with service_errors_answered():
            await shelf.revoke(device_id)
        return Response(status_code=204, headers=_NO_STORE)


def device_document(device: Device) -> dict[str, Any]:
    """A device as JSON shows it. Times are seconds since 1970, UTC."""
    return {
        "id": device.id,
        "kind": str(device.kind),
        "name": device.name,
        "added_wall_s": device.added_wall_s,
        "last_used_wall_s": device.last_used_wall_s,
    }


async def _presented(request: Request) -> tuple[str, str]:
    """The code and the name of the device. Whatever is no code is refused as a wrong one is."""
    try:
        document = await read_json_object(request, what="a code", allowed=_PAIR_ALLOWED)
    except ApiError as error:
        if error.status == 413:
            raise
        raise ApiError(403, "code_wrong", error.message) from error
    code, name = document.get("code"), document.get("name", "")
    if not isinstance(code, str) or not isinstance(name, str):
        raise ApiError(403, "code_wrong", _PAIR_ALLOWED)
    return code, name


async def _addition(request: Request) -> tuple[DeviceKind, str]:
    document = await read_json_object(request, what="a device", allowed=_ADD_ALLOWED)
    kind, name = document.get("kind"), document.get("name", "")
    if kind not in list(DeviceKind) or not isinstance(name, str):
        raise ApiError(422, "invalid_request", _ADD_ALLOWED)
    if kind == DeviceKind.TOKEN and not name.strip():
        raise ApiError(
            422, "invalid_request", f"a token needs a name, by which it is revoked; {_ADD_ALLOWED}"
        )
    return DeviceKind(kind), name


def _invitation_document(invitation: Invitation, request: Request) -> dict[str, Any]:
    """``qr`` is the link as a picture, for another phone that reaches this server by the same name."""
    import segno  # noqa: PLC0415 - 30 ms that the start need not wait for

    link = pairing_link(f"{request.url.scheme}://{request.headers['host']}", invitation.link_secret)
    return {
        "kind": str(DeviceKind.DEVICE),
        "code": invitation.code,
        "link": link,
        "link_secret": invitation.link_secret,
        "valid_s": invitation.valid_s,
        "qr": segno.make(link, micro=False).svg_data_uri(border=4, scale=4, dark="#000", light="#fff"),
    }


def _json(document: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encode_json(document), status, headers or _NO_STORE, "application/json")


def _json_body(properties: Mapping[str, Any], required: list[str]) -> dict[str, Any]:
    schema = {"type": "object", "properties": dict(properties), "required": required}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
