"""Random refreshes, thefts, waits and logouts over three processes, and a model that knows each answer."""

import json
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from typing import Any

from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from callcov_auth import Auth, AuthError
from callcov_auth.store.sql import SqlStore
from callcov_auth.tokens.families import GENERATION, MAX_IN_GRACE
from tests.support.clock import Clock
from tests.support.settings import make_settings

EMAIL, PASSWORD = "user@example.com", "SecurePassword123!"
GRACE, LIFE, INTERVAL = 10, 600, 1
PROCESSES = ("rotating", "rotating too", "not rotating")


@dataclass(slots=True)
class Family:
    """A session as the model has it: when each generation was superseded, and when and where it ended."""

    id: str
    ends_at: float
    superseded_at: list[float] = field(default_factory=list)
    revoked_at: float | None = None
    revoked_in: str = ""

    @property
    def newest(self) -> int:
        return len(self.superseded_at)

    def in_grace(self, generation: int, now: float) -> bool:
        return now - self.superseded_at[generation] < GRACE

    def revoke(self, process: str, now: float) -> None:
        if self.revoked_at is None:
            self.revoked_at, self.revoked_in = now, process

    def refresh(self, generation: int, now: float, *, process: str) -> int | str:
        """Return the generation that the right answer holds, or the code of the right refusal."""
        if now >= self.ends_at:
            return "token_expired"
        if self.revoked_at is not None:
            return "token_revoked"
        if generation < self.newest:
            if self.in_grace(generation, now):
                return self.newest
            self.revoke(process, now)
            return "token_revoked"
        graced = sum(self.in_grace(each, now) for each in range(self.newest))
        if process != "not rotating" and graced < MAX_IN_GRACE:
            self.superseded_at.append(now)
        return self.newest


@dataclass(frozen=True, slots=True)
class Held:
    """What somebody holds, the client or a thief: nothing tells them apart."""

    family: Family
    generation: int
    refresh: str = field(repr=False)
    access: str = field(repr=False)
    access_ends_at: float


class FamilyMachine(RuleBasedStateMachine):
    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.families: list[Family] = []
        self._context = start_blocking_portal("asyncio")
        self._portal = self._context.__enter__()
        self.store = SqlStore("sqlite://")
        base = make_settings(
            rotate_refresh_tokens=True,
            refresh_grace=GRACE,
            refresh_token_ttl=LIFE,
            access_token_ttl=60,
            revocable_access_tokens=True,
            revocation_interval=INTERVAL,
        )
        choices = zip(PROCESSES, (base, base, base.replace(rotate_refresh_tokens=False)), strict=True)
        self.processes = {name: Auth(chosen, store=self.store, clock=self.clock) for name, chosen in choices}
        for auth in self.processes.values():
            self._portal.call(auth.open)
        first = self.processes["rotating"]
        self.user = self._portal.call(first.users.create, EMAIL, PASSWORD)

    def teardown(self) -> None:
        # The store is one, so that it is closed once.
        self._portal.call(self.store.aclose)
        self._context.__exit__(None, None, None)

    @rule(target=held, process=st.sampled_from(PROCESSES))
    def log_in(self, process: str) -> Held:
        pair = self._portal.call(self.processes[process].tokens.login, EMAIL, PASSWORD)
        refresh = pair.refresh_token.get_secret_value()
        # A session begins and ends in whole seconds, as its tokens do.
        family = Family(_claims(refresh)["sid"], int(self.clock()) + LIFE)
        self.families.append(family)
        return self._held(family, pair)

    @rule(target=held, token=held, process=st.sampled_from(PROCESSES))
    def refresh(self, token: Held, process: str) -> Held:
        right = token.family.refresh(token.generation, self.clock(), process=process)
        try:
            pair = self._portal.call(self.processes[process].tokens.refresh, token.refresh)
        except AuthError as refusal:
            assert refusal.code == right
            return token
        got = self._held(token.family, pair)
        assert got.generation == right
        assert _claims(got.refresh)["exp"] == token.family.ends_at
        return got

    @rule(token=held, process=st.sampled_from(PROCESSES))
    def log_out(self, token: Held, process: str) -> None:
        self._portal.call(self.processes[process].tokens.logout, token.refresh)
        if self.clock() < token.family.ends_at:
            token.family.revoke(process, self.clock())

    @rule(process=st.sampled_from(PROCESSES))
    def set_the_password(self, process: str) -> None:
        self._portal.call(self.processes[process].users.set_password, self.user.id, PASSWORD)
        for family in self.families:
            family.revoke(process, self.clock())

    @rule(seconds=st.sampled_from((0.25, 1, 3, GRACE - 0.5, GRACE, 59, LIFE / 4)))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(token=held, process=st.sampled_from(PROCESSES))
    def use_the_access_token(self, token: Held, process: str) -> None:
        code = self._code(token, process)
        family, now = token.family, self.clock()
        if now >= token.access_ends_at:
            assert code == "token_expired"
        elif family.revoked_at is None:
            assert code in ("let in", *(("token_revoked",) if now >= family.ends_at else ()))
        elif family.revoked_in == process or now - family.revoked_at >= INTERVAL:
            assert code == "token_revoked"

    @invariant()
    def each_family_is_as_the_model_has_it(self) -> None:
        for family in self.families:
            session = self._portal.call(self.store.session, family.id)
            if session is not None:
                assert (session.generation, session.revoked_at) == (family.newest, family.revoked_at)
            else:
                # Forgotten by a later login.
                assert self.clock() >= family.ends_at

    def _code(self, token: Held, process: str) -> str:
        try:
            self._portal.call(self.processes[process].authenticate, f"Bearer {token.access}")
        except AuthError as refusal:
            return refusal.code
        return "let in"

    def _held(self, family: Family, pair: Any) -> Held:
        refresh, access = pair.refresh_token.get_secret_value(), pair.access_token.get_secret_value()
        assert _claims(refresh)["sid"] == _claims(access)["sid"] == family.id
        generation = _claims(refresh).get(GENERATION, 0)
        return Held(family, generation, refresh, access, _claims(access)["exp"])


def _claims(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    claims: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


TestFamilies = FamilyMachine.TestCase
TestFamilies.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
