"""Many users from elsewhere at once, with the passwords that they have.

Who is there already counts as done, and is left as they are, so an import can be run again.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

from callcov_auth.errors import ValidationFailed
from callcov_auth.events import OnEvent, UserChanged, emit
from callcov_auth.importing import ImportLine, Table, Tally, our_table, said
from callcov_auth.slow_hashes import BCRYPT_NEEDED, has_bcrypt, is_bcrypt, read_either
from callcov_auth.store.protocol import Store, User
from callcov_auth.users.import_rows import UserRow
from callcov_auth.users.passwords import NO_PASSWORD
from callcov_auth.users.service import new_id
from callcov_auth.validation import validated

BATCH = 500
OURS = our_table(UserRow)


class UserImport:
    """Takes lines, a batch at a time, and keeps the tally. ``scopes`` are given to each, beside its own."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float],
        table: Table = OURS,
        scopes: Collection[str] = (),
        on_event: OnEvent | None = None,
    ) -> None:
        self.tally = Tally(table.names)
        self._store = store
        self._clock = clock
        self._table = table
        self._scopes = frozenset(scopes)
        self._on_event = on_event
        self._has_bcrypt = has_bcrypt()

    async def take(self, lines: Sequence[ImportLine]) -> None:
        """Import a batch, in one transaction.

        What is wrong with a line goes on the tally. Raises AuthUnavailable, and Conflict where somebody added
        the same users in this very moment.
        """
        read = [(line.number, self.tally.tried(line.number, partial(self._row, line))) for line in lines]
        rows = [(number, row) for number, row in read if row is not None]
        names = {name for _, row in rows for name in (row.id, row.email) if name is not None}
        known = {name: user for user in await self._store.users_named(names) for name in _names(user)}
        added: list[User] = []
        for number, row in rows:
            user = self.tally.tried(number, partial(self._new, row, known))
            if user is not None:
                added.append(user)
                known |= dict.fromkeys(_names(user), user)
        await self._add(added)

    async def _add(self, users: Sequence[User]) -> None:
        await self._store.add_users(users)
        self.tally.imported += len(users)
        for user in users:
            emit(UserChanged(user.id, "created"), self._on_event)

    def _row(self, line: ImportLine) -> UserRow:
        row = validated(UserRow, said(self._table.read(line.fields, self._clock())))
        for name in ("created_at", "disabled_at"):
            time = getattr(row, name)
            if time is not None and time > self._clock():
                raise ValidationFailed({name: "is in the future"})
        problem = None if row.password_hash is None else self._problem_of_hash(row.password_hash)
        if problem is not None:
            raise ValidationFailed({"password_hash": problem})
        return row

    def _problem_of_hash(self, password_hash: str) -> str | None:
        try:
            read_either(password_hash)
        except ValueError as error:
            return str(error)
        return BCRYPT_NEEDED if is_bcrypt(password_hash) and not self._has_bcrypt else None

    def _new(self, row: UserRow, known: Mapping[str, User]) -> User | None:
        """Return the user that a row makes; None for one who is there."""
        if self._is_known(row, known):
            self.tally.present += 1
            return None
        return User(
            id=new_id() if row.id is None else row.id,
            email=row.email,
            password_hash=NO_PASSWORD if row.password_hash is None else row.password_hash,
            scopes=self._scopes | frozenset(row.scopes),
            created_at=self._clock() if row.created_at is None else row.created_at,
            disabled_at=row.disabled_at,
        )

    @staticmethod
    def _is_known(row: UserRow, known: Mapping[str, User]) -> bool:
        if row.id in known:
            # Whatever has become of the email since.
            return True
        same_email = known.get(row.email)
        if same_email is not None and row.id is not None:
            raise ValidationFailed({"email": "is that of a user with another id"})
        return same_email is not None


def _names(user: User) -> tuple[str, str]:
    return user.id, user.email
