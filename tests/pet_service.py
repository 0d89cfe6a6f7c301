"""A service with an OpenAPI document, for tests: it keeps what it was sent, and answers as told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

PET = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
DOCUMENT: dict[str, Any] = {
    "openapi": "3.1.0",
    "info": {"title": "Pets", "version": "1"},
    "paths": {
        "/pets/{id}": {
            "parameters": [{"name": "id", "in": "path", "required": True, "schema": {}}],
            "get": {
                "operationId": "getPet", "summary": "Get a <b>pet</b>",
                "parameters": [
                    {"name": "tag", "in": "query", "schema": {"type": "array"}},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}},
                    {"name": "Authorization", "in": "header", "schema": {"type": "string"}},
                    {"name": "Host", "in": "header", "schema": {"type": "string"}},
                ],
            },
            "put": {
                "operationId": "putPet",
                "requestBody": {"content": {"application/json": {"schema": PET}}},
            },
            "delete": {"operationId": "deletePet"},
        },
        "/many": {
            "post": {
                "operationId": "many",
                "requestBody": {"content": {"application/json": {"schema": {"type": "array"}}}},
            }
        },
        "/form": {
            "post": {
                "operationId": "form",
                "requestBody": {
                    "content": {"application/x-www-form-urlencoded": {"schema": PET}}
                },
            }
        },
        "/upload": {
            "post": {
                "operationId": "upload",
                "requestBody": {"content": {"multipart/form-data": {"schema": PET}}},
            }
        },
        ".evil.test/x": {"get": {"operationId": "elsewhere"}},
        "/lost/{x}": {"get": {"operationId": "lost"}},
        "/bad": {
            "get": {
                "operationId": "bad",
                "parameters": [{"name": "p", "in": "query", "schema": {"type": "strange"}}],
            }
        },
    },
}  # fmt: skip


@dataclass
class Server:
    """Keeps requests as (method, target, headers, body), and answers with what it is told to."""

    status: int = 200
    reply: bytes = b'{"ok": true}'
    more: str = "Content-Type: application/json\r\n"
    port: int = 0
    asked: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode("latin-1"):
                first, *lines = head.strip().split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (ln.partition(":") for ln in lines)}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                method, target, _ = first.split(" ")
                self.asked.append((method, target, headers, body.decode()))
                size = f"Content-Length: {len(self.reply)}\r\n"
                start = f"HTTP/1.1 {self.status} x\r\n{self.more}{size}\r\n".encode()
                writer.write(start + self.reply)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def serving_pets(server: Server) -> AsyncIterator[str]:
    """The URL that it is called at."""
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    async with listening:
        yield f"http://127.0.0.1:{server.port}/v1"
