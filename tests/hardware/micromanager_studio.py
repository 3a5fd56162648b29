"""What a running Micro-Manager answers over pycromanager's bridge, backed by a real MMCore.

The protocol is pyjavaz's: requests and replies in JSON, arrays as further parts of the message.
Objects of Java other than numbers, texts and arrays are kept here and known by a hash.
"""

import json
import sys
from contextlib import suppress
from threading import Event, Thread
from typing import Any

import pymmcore
import zmq

VERSION = "5.1.0"
_TEXT, _INT, _REAL, _YES = "java.lang.String", "int", "double", "boolean"
_SIGNATURES: dict[str, list[list[str]]] = {
    **{
        name: [[]]
        for name in [
            "getCameraDevice",
            "getFocusDevice",
            "getXYStageDevice",
            "getShutterDevice",
            "getLoadedDevices",
            "getImageHeight",
            "getImageWidth",
            "getBytesPerPixel",
            "getImageBitDepth",
            "getNumberOfComponents",
            "clearROI",
            "getROI",
            "getNumberOfCameraChannels",
            "getAutoShutter",
            "isBufferOverflowed",
            "getRemainingImageCount",
            "getBufferTotalCapacity",
            "getAvailableConfigGroups",
            "popNextTaggedImage",
            "getLastTaggedImage",
        ]
    },
    **{
        name: [[_TEXT]]
        for name in [
            "setCameraDevice",
            "getDeviceType",
            "getDeviceLibrary",
            "getDeviceName",
            "getDeviceDescription",
            "waitForDevice",
            "getCurrentConfig",
            "getDevicePropertyNames",
            "deviceBusy",
            "stop",
            "getShutterOpen",
            "getPosition",
            "getXPosition",
            "getYPosition",
            "getAvailableConfigs",
        ]
    },
    **{
        name: [[_TEXT, _TEXT]]
        for name in [
            "hasProperty",
            "hasPropertyLimits",
            "getPropertyType",
            "getProperty",
            "isPropertyReadOnly",
            "getAllowedPropertyValues",
            "getPropertyLowerLimit",
            "getPropertyUpperLimit",
            "setConfig",
            "getConfigData",
            "waitForConfig",
        ]
    },
    "isSequenceRunning": [[], [_TEXT]],
    "stopSequenceAcquisition": [[], [_TEXT]],
    "getExposure": [[], [_TEXT]],
    "getCameraChannelName": [["long"]],
    "setProperty": [[_TEXT, _TEXT, kind] for kind in (_TEXT, _INT, _REAL, _YES)],
    "setExposure": [[_REAL], [_TEXT, _REAL]],
    "setROI": [[_INT] * 4, [_TEXT, *[_INT] * 4]],
    "startSequenceAcquisition": [[_INT, _REAL, _YES], [_TEXT, _INT, _REAL, _YES]],
    "setPosition": [[_REAL], [_TEXT, _REAL]],
    "setRelativeXYPosition": [[_REAL] * 2, [_TEXT, _REAL, _REAL]],
    "setShutterOpen": [[_YES], [_TEXT, _YES]],
    "setAutoShutter": [[_YES]],
}
_FIELDS = {
    "java.awt.Rectangle": ["x", "y", "width", "height"],
    "mmcorej.TaggedImage": ["pix", "tags"],
}
_METHODS = {
    "mmcorej.StrVector": {"size": [[]], "get": [["int"]]},
    "mmcorej.Configuration": {"size": [[]], "getSetting": [["int"]]},
    "mmcorej.PropertySetting": {
        name: [[]] for name in ("getDeviceLabel", "getPropertyName", "getPropertyValue")
    },
    "mmcorej.PropertyType": {"swigValue": [[]], "toString": [[]]},
    "mmcorej.CMMCore": _SIGNATURES,
}


class Studio:
    """Serves at `port` until closed. While `mute`, it takes a request and keeps the answer back."""

    def __init__(self, core: pymmcore.CMMCore) -> None:
        self.core = core
        self.mute = False
        self.requests: list[str] = []
        self._objects: dict[str, tuple[str, Any]] = {}
        self._closing = Event()
        self._socket: Any = zmq.Context.instance().socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self.port: int = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self._thread = Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def held(self) -> list[str]:
        """Classes of the objects that clients have not given back."""
        return sorted(kind for kind, _ in self._objects.values())

    def close(self) -> None:
        self._closing.set()
        self._thread.join(5)
        self._socket.close()

    def _serve(self) -> None:
        while not self._closing.is_set():
            if not self._socket.poll(20):
                continue
            request = json.loads(self._socket.recv_multipart()[0].decode("iso-8859-1"))
            while self.mute and not self._closing.wait(0.02):
                pass
            try:
                parts = self._answer(request)
            except Exception as error:
                text = f"java.lang.Exception: {error}\n\tat mmcorej.CMMCore.run(CMMCore.java:1)\n"
                parts = [json.dumps({"type": "exception", "value": text}).encode()]
            self._socket.send_multipart(parts)

    def _answer(self, request: dict[str, Any]) -> list[bytes]:
        command = request["command"]
        if command == "connect":
            return _json({"type": "none", "version": VERSION})
        if command == "get-constructors":
            name = request["classpath"]
            api = [{"name": name, "arguments": [], "return-type": name}]
            return _json({"type": "none", "api": api})
        if command == "constructor":
            return self._reply(self.core)
        if command == "destructor":
            with suppress(KeyError):
                del self._objects[request["hash-code"]]
            return _json({"type": "none"})
        kind, value = self._objects[request["hash-code"]]
        if command == "get-field":
            return self._reply(value[request["name"]])
        name, arguments = request["name"], request["arguments"]
        self.requests.append(name)
        if kind == "mmcorej.CMMCore":
            return self._reply(self._run(name, arguments))
        if kind in ("mmcorej.Configuration", "mmcorej.PropertySetting"):
            return self._reply(getattr(value, name)(*arguments))
        return self._reply({"size": len, "get": list.__getitem__}.get(name, int)(value, *arguments))

    def _run(self, name: str, arguments: list[Any]) -> Any:
        if name in ("popNextTaggedImage", "getLastTaggedImage"):
            md = pymmcore.Metadata()
            take = self.core.popNextImageMD if name.startswith("pop") else self.core.getLastImageMD
            pixels = take(md)
            tags = {key: md.GetSingleTag(key).GetValue() for key in md.GetKeys()}
            return {"pix": pixels, "tags": {**tags, "Width": int(tags["Width"])}}
        value = getattr(self.core, name)(*arguments)
        if name == "getROI":
            return dict(zip(_FIELDS["java.awt.Rectangle"], value, strict=True))
        if name in ("getPropertyType", "getDeviceType"):
            return _Enumeration(value)
        return value

    def _reply(self, value: Any) -> list[bytes]:
        if value is None:
            return _json({"type": "null"})
        if isinstance(value, _Enumeration):
            return self._keep("mmcorej.PropertyType", value.value)
        if isinstance(value, str):
            return _json({"type": "string", "value": value})
        if isinstance(value, (bool, int, float)):
            return _json({"type": "primitive", "value": value})
        if isinstance(value, (tuple, list)):
            return self._keep("mmcorej.StrVector", list(value))
        if isinstance(value, dict) and "ImageNumber" in value:
            text = json.dumps(value)
            return _json({"type": "object", "class": "JSONObject", "value": text})
        if isinstance(value, dict):
            kind = "mmcorej.TaggedImage" if "pix" in value else "java.awt.Rectangle"
            return self._keep(kind, value)
        if hasattr(value, "dtype"):
            kind = "byte-array" if value.dtype.itemsize == 1 else "short-array"
            key = (7).to_bytes(4, sys.byteorder)
            return [*_json({"type": kind, "value": "@7"}), key, value.tobytes()]
        return self._keep(f"mmcorej.{type(value).__name__}", value)

    def _keep(self, kind: str, value: Any) -> list[bytes]:
        code = f"{len(self.requests)}-{id(value)}-{len(self._objects)}"
        self._objects[code] = (kind, value)
        api = [
            {"name": name, "arguments": arguments, "return-type": "java.lang.Object"}
            for name, overloads in _METHODS.get(kind, {}).items()
            for arguments in overloads
        ]
        shadow = {"class": kind, "interfaces": [kind], "fields": _FIELDS.get(kind, []), "api": api}
        return _json(
            {"type": "unserialized-object", "hash-code": code, "port": self.port, **shadow}
        )


class _Enumeration:
    def __init__(self, value: int) -> None:
        self.value = value


def _json(message: dict[str, Any]) -> list[bytes]:
    return [json.dumps(message).encode("iso-8859-1")]


def demo_core(config: str, adapters: str) -> pymmcore.CMMCore:
    """A second MMCore in this process, behind the server and out of pycromanager's sight."""
    core = pymmcore.CMMCore()
    core.enableStderrLog(False)
    core.setDeviceAdapterSearchPaths([adapters])
    core.setCircularBufferMemoryFootprint(64)
    core.loadSystemConfiguration(config)
    return core
