"""The passwords people sign in with: set, checked, taken away; kept only as hashes."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import delete, insert, select, update

from cairn.catalog import audit
from cairn.catalog.accounts import find, key_of
from cairn.catalog.database import Database, storable
from cairn.catalog.password_hashes import PasswordHashes
from cairn.catalog.password_rules import MAX_CHARACTERS, check_password
from cairn.catalog.schema import accounts, passwords
from cairn.catalog.sign_in_rules import SignInRules
from cairn.domain import Account, Actor
from cairn.errors import RequestError, UnauthenticatedError, UnavailableError

WRONG = "the user name or the password is wrong"


class Passwords:
    """Passwords by account. Hashing takes a tenth of a second and 64 MiB: call from a thread."""

    def __init__(
        self,
        database: Database,
        clock: Callable[[], datetime],
        rules: SignInRules,
        hashes: PasswordHashes | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._rules = rules
        self._hashes = hashes or PasswordHashes()

    def exists(self, user: str) -> bool:
        """Whether this person can sign in with a password."""
        query = select(passwords.c.owner).where(passwords.c.owner == key_of(user))
        with self._database.read() as connection:
            return connection.execute(query).first() is not None

    def set(self, user: str, password: str, *, by: Actor | None = None) -> None:
        """Give a person this password, in place of the one they had.

        Raises:
            NotFoundError: there is no such user.
            RequestError: it is an organisation, or the password is not one to take.
        """
        with self._database.read() as connection:
            account = find(connection, user)
        if account.is_org:
            raise RequestError(f"{account.name!r} is an organisation; only users sign in")
        self.check_new(password, (account.name, account.full_name, account.email or ""))
        kept, now = self._hashes.make(password), self._clock()
        row = {"owner": key_of(account.name), "hash": kept, "changed_at": now}
        with self._database.write() as connection:
            connection.execute(delete(passwords).where(passwords.c.owner == row["owner"]))
            connection.execute(insert(passwords), row)
            audit.note(connection, now, by, "password.change", detail=account.name)

    def check_new(self, password: str, known: tuple[str, ...] = ()) -> None:
        """Whether somebody of these names and addresses may have this password.

        Raises:
            RequestError: it is too short, too long or easily guessed.
        """
        words = [word.partition("@")[0] for word in known]
        check_password(password, self._rules.password_min_characters, words)

    def remove(self, user: str, *, by: Actor | None = None) -> None:
        """Let nobody sign in as this user with a password; nothing happens if there is none."""
        with self._database.write() as connection:
            account = find(connection, user)
            held = passwords.c.owner == key_of(account.name)
            if connection.execute(delete(passwords).where(held)).rowcount:
                audit.note(connection, self._clock(), by, "password.remove", detail=account.name)

    def check(self, user: str, password: str) -> Account:
        """Whose name and password these are.

        Takes as long, and says the same, whether the name or the password is wrong. A hash made
        with other parameters than today's is replaced.

        Raises:
            UnauthenticatedError: they are nobody's.
        """
        query = (
            select(accounts.c.name, passwords.c.hash)
            .join(passwords, passwords.c.owner == accounts.c.key)
            .where(accounts.c.key == key_of(user))
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none() if storable(user) else None
        given = password[: MAX_CHARACTERS + 1]  # a longer one is nobody's
        if not self._hashes.matches(None if row is None else row.hash, given) or row is None:
            raise UnauthenticatedError(WRONG)
        if self._hashes.is_outdated(row.hash):
            self._renew(user, row.hash, given)
        with self._database.read() as connection:
            return find(connection, row.name)

    def _renew(self, user: str, old: str, password: str) -> None:
        held = (passwords.c.owner == key_of(user)) & (passwords.c.hash == old)
        new = self._hashes.make(password)
        try:
            with self._database.write() as connection:
                connection.execute(update(passwords).where(held).values(hash=new))
        except UnavailableError:
            return  # a busy database must not turn a right password away; the next sign-in renews
