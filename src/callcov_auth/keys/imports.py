"""Many keys from elsewhere at once: each checked, told apart from those that are there, added in batches.

What is there already counts as done, so an import that was interrupted goes on when it is run again.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from callcov_auth.age import DAY
from callcov_auth.errors import InsufficientPermissions, ValidationFailed
from callcov_auth.events import KeyCreated, emit
from callcov_auth.importing import ImportLine, Table, Tally, our_table, said
from callcov_auth.keys import foreign
from callcov_auth.keys.format import PREFIX_LENGTH
from callcov_auth.keys.import_rows import ImportRow
from callcov_auth.keys.salted import MAX_CANDIDATES
from callcov_auth.keys.service import KeyService, granted, new_id
from callcov_auth.slow_hashes import BCRYPT_NEEDED, has_bcrypt, is_bcrypt
from callcov_auth.store.protocol import Key, User
from callcov_auth.validation import validated

BATCH = 500
OURS = our_table(ImportRow)


@dataclass(frozen=True, slots=True)
class _Row:
    number: int
    request: ImportRow = field(repr=False)
    digest: bytes = field(repr=False)

    @property
    def owner(self) -> str:
        """An id, or an email, which is kept in lower case."""
        return self.request.owner.lower() if "@" in self.request.owner else self.request.owner

    @property
    def is_salted(self) -> bool:
        return self.request.kind in foreign.SALTED

    @property
    def salted_hash(self) -> str | None:
        """What is kept of a salted hash: keyshield's is of what comes after the prefix alone."""
        if not self.is_salted:
            return None
        start = self.request.prefix if self.request.kind == "keyshield" else None
        return (start or "") + self.digest.decode("ascii")

    @property
    def prefix(self) -> str:
        return (self.request.prefix or "")[:PREFIX_LENGTH]


class KeyImport:
    """Takes lines, a batch at a time, and keeps the tally.

    ``pepper`` is that of the digests that need one, if any; ``owner`` has the keys whose line names none.
    """

    def __init__(
        self, keys: KeyService, *, pepper: bytes | None, table: Table = OURS, owner: str | None = None
    ) -> None:
        self.tally = Tally(table.names)
        self._table = table
        self._owner = owner
        self._settings = keys.settings
        self._store = keys.store
        self._clock = keys.clock
        self._on_event = keys.on_event
        self._validator = keys.validator
        self._pepper_ids = {"ours": foreign.pepper_id(keys.settings.pepper_key)}
        if pepper is not None:
            self._pepper_ids |= dict.fromkeys(foreign.PEPPERED, foreign.pepper_id(pepper))
        self._has_bcrypt = has_bcrypt()
        self._salted: _Salted | None = None
        # Counted once for each owner, and then kept here: to count again in each batch takes too long.
        self._working: dict[str, int] = {}

    async def take(self, lines: Sequence[ImportLine]) -> None:
        """Import a batch, in one transaction.

        What is wrong with a line goes on the tally. Raises AuthUnavailable, and Conflict where another
        import added the same keys in this very moment.
        """
        read = [self.tally.tried(line.number, partial(self._row, line)) for line in lines]
        rows = await self._unstored([row for row in read if row is not None])
        owners, salted = await self._owners(rows), await self._known_salted()
        keys: dict[bytes, Key] = {}
        for row in rows:
            if row.digest in keys:
                self.tally.present += 1
                continue
            key = self.tally.tried(row.number, partial(self._key, row, owners, salted))
            if key is not None:
                keys[row.digest] = key
        await self._add(keys.values())

    async def _add(self, keys: Collection[Key]) -> None:
        await self._store.add_keys(list(keys))
        if keys:
            self._validator.expect_foreign_keys()
        self.tally.imported += len(keys)
        for key in keys:
            emit(KeyCreated(key.id, key.owner), self._on_event)

    def _row(self, line: ImportLine) -> _Row:
        fields = said(self._table.read(line.fields, self._clock()))
        request = validated(ImportRow, said({"owner": self._owner}) | fields)
        problem = self._problem(request)
        if problem is not None:
            raise ValidationFailed(problem)
        try:
            return _Row(line.number, request, foreign.read_digest(request.kind, request.digest))
        except ValueError as error:
            raise ValidationFailed({"digest": str(error)}) from None

    def _problem(self, request: ImportRow) -> Mapping[str, str] | None:
        if request.kind in foreign.PEPPERED and request.kind not in self._pepper_ids:
            return {"kind": "needs its pepper: one of import_peppers, named where there are several"}
        if request.kind in foreign.SALTED and is_bcrypt(request.digest) and not self._has_bcrypt:
            return {"kind": BCRYPT_NEEDED}
        problem = self._problem_of_prefix(request.kind, request.prefix)
        if problem is not None:
            return {"prefix": problem}
        if request.expires_at is not None and request.expires_in_days is not None:
            return {"expires_at": "stands beside expires_in_days"}
        if request.created_at is not None and request.created_at > self._clock():
            return {"created_at": "is in the future"}
        return None

    def _problem_of_prefix(self, kind: foreign.Kind, prefix: str | None) -> str | None:
        if prefix is not None and not prefix.startswith(self._settings.key_starts):
            return "starts with neither sk_ nor one of CALLCOV_AUTH_IMPORT_PREFIXES"
        if kind in foreign.SALTED and not foreign.is_distinct(prefix or "", self._settings.key_starts):
            return (
                f"is needed for a salted hash: {foreign.DISTINCT_LENGTH} characters or more after sk_, "
                f"sk_live_ or an import prefix, all within the first {PREFIX_LENGTH}"
            )
        if kind == "keyshield" and "$" in (prefix or ""):
            return "holds a $"
        return None

    async def _unstored(self, rows: Sequence[_Row]) -> list[_Row]:
        marks = [self._marks(row.digest) for row in rows]
        stored = set(await self._store.stored_digests(set().union(*marks)))
        unstored = [row for row, marked in zip(rows, marks, strict=True) if stored.isdisjoint(marked)]
        self.tally.present += len(rows) - len(unstored)
        return unstored

    def _marks(self, digest: bytes) -> set[bytes]:
        """Return by what a key that is stored would be told again."""
        return {digest, *(foreign.origin(pepper, digest) for pepper in self._settings.pepper_keys)}

    async def _owners(self, rows: Sequence[_Row]) -> dict[str, User]:
        users = await self._store.users_named({row.owner for row in rows})
        new = {user.id for user in users} - self._working.keys()
        self._working |= dict.fromkeys(new, 0)
        self._working |= await self._store.working_keys(new, at=self._clock())
        return {name: user for user in users for name in (user.id, user.email) if user.disabled_at is None}

    async def _known_salted(self) -> "_Salted":
        if self._salted is None:
            self._salted = _Salted(await self._store.salted_prefixes())
        return self._salted

    def _key(self, row: _Row, owners: Mapping[str, User], salted: "_Salted") -> Key:
        owner = owners.get(row.owner)
        if owner is None:
            raise ValidationFailed({"owner": "is no user, or one that is disabled"})
        try:
            scopes = granted(row.request.scopes, owner, None)
        except InsufficientPermissions:
            raise ValidationFailed({"scopes": "has one that the owner lacks"}) from None
        if row.is_salted and not salted.takes(row.prefix):
            raise ValidationFailed(
                {"prefix": f"is that of {MAX_CANDIDATES} keys with a salted hash that were not used yet"}
            )
        return self._counted(self._built(row, owner.id, scopes))

    def _counted(self, key: Key) -> Key:
        """Raises ValidationFailed where the owner has no room; a key that ended takes none."""
        if key.revoked_at is None and (key.expires_at is None or key.expires_at > self._clock()):
            if self._working[key.owner] >= self._settings.max_active_keys:
                raise ValidationFailed({"owner": "has as many working keys as max_active_keys allows"})
            self._working[key.owner] += 1
        return key

    def _built(self, row: _Row, owner: str, scopes: frozenset[str]) -> Key:
        request, now = row.request, self._clock()
        days = request.expires_in_days
        origin = foreign.origin(self._settings.pepper_key, row.digest)
        return Key(
            id=new_id(),
            owner=owner,
            name=request.name,
            description=request.description,
            # A key with a salted hash is found by its prefix, and has a digest that nothing has.
            digest=origin if row.is_salted else row.digest,
            key_prefix=row.prefix,
            environment=request.environment,
            segment=request.segment,
            scopes=scopes,
            created_at=now if request.created_at is None else request.created_at,
            expires_at=request.expires_at if days is None else now + days * DAY,
            revoked_at=request.revoked_at,
            imported=True,
            pepper_id=self._pepper_ids.get(request.kind),
            origin=origin,
            salted_hash=row.salted_hash,
            rate=request.rate,
        )


class _Salted:
    """How many keys with a salted hash one text can meet: those whose prefixes start like each other."""

    def __init__(self, stored: Mapping[str, int]) -> None:
        self._exactly = Counter[str]()
        self._starting = Counter[str]()
        for prefix, number in stored.items():
            self._add(prefix, number)

    def takes(self, prefix: str) -> bool:
        """Whether there is room for one more with this prefix; if so, it is taken."""
        shorter = sum(self._exactly[part] for part in foreign.prefixes(prefix)[1:])
        if shorter + self._starting[prefix] >= MAX_CANDIDATES:
            return False
        self._add(prefix, 1)
        return True

    def _add(self, prefix: str, number: int) -> None:
        self._exactly[prefix] += number
        for part in foreign.prefixes(prefix):
            self._starting[part] += number
