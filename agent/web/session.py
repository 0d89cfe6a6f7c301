"""A browser's session: a key typed once, kept as a signed cookie, and a token in every form.

The cookie holds the id of the key and never the key; a key that is revoked ends its sessions. Where
no key was ever made, this machine needs none, as with the API (agent.api.auth), and the cookie
holds the form token alone. Reads no password and stores no session. Called by agent.web.visitors.
"""

import base64
import hashlib
import hmac
import json
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from store.files import write_atomic

LASTS_S = 7 * 24 * 3600
"""A week: then the key is typed again."""
SECRET_BYTES = 32
ANYBODY, ENVIRONMENT = "", "environment"
"""In place of a key's id: nobody has said who they are; the key of PERENNIAL_SERVER__API_KEY."""


@dataclass(frozen=True)
class Session:
    """What the cookie says. `proof` ties a session of the environment's key to that very key."""

    key: str
    until: int
    token: str
    proof: str = ""


class Sessions:
    """Makes and reads cookies with a secret of the home, made on first use."""

    def __init__(self, run: Path) -> None:
        """`run` is the folder of the home that its owner alone may enter."""
        self._file = run / "pages.secret"
        self._secret = b""

    def begin(self, key: str = ANYBODY, *, proves: str = "") -> Session:
        """A new session of a key's id; `proves` is the text that it must be ended with."""
        proof = self.proof(proves) if proves else ""
        return Session(key, int(time.time()) + LASTS_S, secrets.token_urlsafe(24), proof)

    def proof(self, text: str) -> str:
        """What tells that text from any other, without telling it."""
        return self._mac(b"proof:" + text.encode())

    def cookie(self, session: Session) -> str:
        """The session as a cookie's value."""
        body = base64.urlsafe_b64encode(json.dumps(asdict(session)).encode()).decode()
        return f"{body}.{self._mac(body.encode())}"

    def read(self, cookie: str | None) -> Session | None:
        """The session of a cookie; None when it is not ours, changed, or over."""
        body, _, mac = (cookie or "").rpartition(".")
        if not body or not hmac.compare_digest(self._mac(body.encode()).encode(), mac.encode()):
            return None
        session = Session(**json.loads(base64.urlsafe_b64decode(body)))
        return session if session.until > time.time() else None

    def _mac(self, text: bytes) -> str:
        return hmac.new(self._key(), text, hashlib.sha256).hexdigest()

    def _key(self) -> bytes:
        if not self._secret:
            self._secret = _made(self._file)
        return self._secret


def _made(file: Path) -> bytes:
    """The secret in `file`, new where there is none. One process at a time holds a home."""
    if file.is_file() and len(kept := file.read_bytes()) == SECRET_BYTES:
        return kept
    secret = secrets.token_bytes(SECRET_BYTES)
    write_atomic(file, secret)
    return secret
