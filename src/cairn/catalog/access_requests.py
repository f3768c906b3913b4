"""Who asked to read the files of a gated repo, and what became of it."""

import json
import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select, update

from cairn.catalog import audit
from cairn.catalog.accounts import find, key_of
from cairn.catalog.database import Database, insert_if_new, storable
from cairn.catalog.decided import AccessRequest, Answers
from cairn.catalog.records import RepoRecord
from cairn.catalog.schema import access_requests, accounts, repos
from cairn.catalog.visibility import visible_to
from cairn.domain import AccessState, Account, Actor, RepoId, RepoType
from cairn.errors import ConflictError, NotFoundError, RequestError

_UID_BYTES = 12  # 24 hex digits, the form that ids on the HF hub have
_ACTIONS = {
    AccessState.ACCEPTED: "access.accept",
    AccessState.REJECTED: "access.reject",
    AccessState.PENDING: "access.cancel",
}


class AccessRequests:
    """Requests by repo and person: one of each pair, which goes with its repo."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    def ask(
        self, repo: RepoRecord, by: Actor, message: str, answers: Answers, *, at_once: bool
    ) -> AccessRequest:
        """Note that a person asks for the files of a repo; `at_once` lets them in without a wait.

        Who waits because nobody decided yet may ask again once the gate has become `auto`; whom
        an owner made wait may not.

        Raises:
            ConflictError: they wait for an answer, have been let in, or were turned away.
            RequestError: the texts hold what text cannot.
        """
        if not all(map(storable, (message, *answers, *map(str, answers.values())))):
            raise RequestError("an answer cannot hold NUL characters or lone surrogates")
        now = self._clock()
        state = AccessState.ACCEPTED if at_once else AccessState.PENDING
        said = {"message": message, "answers": json.dumps(answers)}
        row = _new_row(repo, by.name, state, now) | said
        with self._database.write() as connection:
            if not insert_if_new(connection, access_requests, row):
                held = _locked(connection, repo, by.name)
                if held.state is not AccessState.PENDING or held.decided_at or not at_once:
                    raise ConflictError(_why_not_again(held.state, repo))
                _change(connection, held, state=state.value, **said)
            audit.note(connection, now, by, "access.ask", repo.id, f"{by.name} {state.value}")
            return _locked(connection, repo, by.name)

    def grant(self, repo: RepoRecord, person: str, by: Actor | None) -> AccessRequest:
        """Let a person in, whether they asked or not.

        Raises:
            NotFoundError: there is no such person.
            ConflictError: they have been let in before.
        """
        now = self._clock()
        with self._database.write() as connection:
            account = find(connection, person)
            if account.is_org:
                raise NotFoundError(f"{account.name!r} is an organisation; let in its people")
            row = _new_row(repo, account.name, AccessState.ACCEPTED, now)
            row |= {"was_asked": False, "decided_by": audit.name_of(by), "decided_at": now}
            if not insert_if_new(connection, access_requests, row):
                self._decide(connection, repo, account.name, AccessState.ACCEPTED, "", by)
            audit.note(connection, now, by, "access.grant", repo.id, account.name)
            return _locked(connection, repo, account.name)

    def decide(
        self, repo: RepoRecord, person: str, state: AccessState, reason: str, by: Actor | None
    ) -> AccessRequest:
        """Accept or reject the request of a person, or have it wait again; it holds at once.

        Raises:
            NotFoundError: they have not asked.
            ConflictError: it is so already.
        """
        with self._database.write() as connection:
            held = self._decide(connection, repo, person, state, reason, by)
            detail = f"{held.person.name}: {reason}" if reason else held.person.name
            audit.note(connection, self._clock(), by, _ACTIONS[state], repo.id, detail)
            return _locked(connection, repo, person)

    def _decide(
        self,
        connection: Connection,
        repo: RepoRecord,
        person: str,
        state: AccessState,
        reason: str,
        by: Actor | None,
    ) -> AccessRequest:
        held = _locked(connection, repo, person)
        if held.state is state:
            name = held.person.name
            raise ConflictError(f"the request of {name} for {repo.id} is {state.value} already")
        values = {"decided_by": audit.name_of(by), "decided_at": self._clock(), "reason": reason}
        _change(connection, held, state=state.value, **values)
        return held

    def find(self, repo_uid: str, person: str) -> AccessRequest | None:
        """How a person stands with a repo; None if they neither asked nor were let in."""
        with self._database.read() as connection:
            row = connection.execute(_of(repo_uid, person)).one_or_none()
        return None if row is None else _request(row)

    def state_of(self, repo_uid: str, person: str) -> AccessState | None:
        """The same, only the state: it is asked for with every file of a gated repo."""
        query = select(access_requests.c.state).where(
            access_requests.c.repo == repo_uid, access_requests.c.person == key_of(person)
        )
        with self._database.read() as connection:
            state = connection.execute(query).scalar_one_or_none()
        return None if state is None else AccessState(state)

    def get(self, repo_uid: str, uid: str) -> AccessRequest:
        """The request with this internal id.

        Raises:
            NotFoundError: there is none for this repo.
        """
        query = _joined().where(access_requests.c.uid == uid, access_requests.c.repo == repo_uid)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none() if storable(uid) else None
        if row is None:
            raise NotFoundError(f"there is no request for access {uid[:40]!r}")
        return _request(row)

    def listed(
        self, repo_uid: str, state: AccessState, limit: int, offset: int = 0
    ) -> list[AccessRequest]:
        """Those of a repo in this state: what waits oldest first, all else newest first."""
        at = access_requests.c.asked_at
        order = at if state is AccessState.PENDING else at.desc()
        query = _joined().where(
            access_requests.c.repo == repo_uid, access_requests.c.state == state.value
        )
        query = query.order_by(order, access_requests.c.person).limit(limit).offset(offset)
        with self._database.read() as connection:
            return [_request(row) for row in connection.execute(query)]

    def of_person(self, person: Actor, limit: int) -> list[tuple[RepoId, AccessRequest]]:
        """The newest of a person, of repos that are gated and that they may know of."""
        query = (
            _joined()
            .add_columns(repos.c.type, repos.c.namespace, repos.c.name.label("repo_name"))
            .join(repos, repos.c.uid == access_requests.c.repo)
            .where(
                access_requests.c.person == key_of(person.name),
                repos.c.gated.is_not(None),
                visible_to(person),
            )
            .order_by(access_requests.c.asked_at.desc(), access_requests.c.uid)
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return [
            (RepoId(RepoType(row.type), row.namespace, row.repo_name), _request(row))
            for row in rows
        ]

    def counts(self, repo_uid: str) -> dict[AccessState, int]:
        """How many of a repo are in each state."""
        query = (
            select(access_requests.c.state, func.count())
            .where(access_requests.c.repo == repo_uid)
            .group_by(access_requests.c.state)
        )
        with self._database.read() as connection:
            found = {AccessState(state): number for state, number in connection.execute(query)}
        return {state: found.get(state, 0) for state in AccessState}


def _new_row(repo: RepoRecord, person: str, state: AccessState, now: datetime) -> dict[str, Any]:
    return {
        "repo": repo.uid,
        "person": key_of(person),
        "uid": secrets.token_hex(_UID_BYTES),
        "state": state.value,
        "was_asked": True,
        "asked_at": now,
        "message": "",
        "answers": "{}",
        "reason": "",
    }


def _joined() -> Select[Any]:
    person = (accounts.c.name, accounts.c.full_name, accounts.c.email, accounts.c.is_admin)
    return select(access_requests, *person).join(
        accounts, accounts.c.key == access_requests.c.person
    )


def _of(repo_uid: str, person: str) -> Select[Any]:
    return _joined().where(
        access_requests.c.repo == repo_uid, access_requests.c.person == key_of(person)
    )


def _locked(connection: Connection, repo: RepoRecord, person: str) -> AccessRequest:
    """The request, so that nobody else can change it before this transaction ends."""
    query = _of(repo.uid, person).with_for_update(of=access_requests)
    row = connection.execute(query).one_or_none() if storable(person) else None
    if row is None:
        raise NotFoundError(f"{person[:120]!r} has not asked for access to {repo.id}")
    return _request(row)


def _change(connection: Connection, held: AccessRequest, **values: Any) -> None:
    it = access_requests.c.uid == held.uid
    connection.execute(update(access_requests).where(it).values(values))


def _why_not_again(state: AccessState, repo: RepoRecord) -> str:
    return {
        AccessState.PENDING: f"your request for access to {repo.id} waits for an answer",
        AccessState.ACCEPTED: f"you have access to {repo.id}",
        AccessState.REJECTED: f"your request for access to {repo.id} was rejected by its owners",
    }[state]


def _request(row: Row[Any]) -> AccessRequest:
    return AccessRequest(
        uid=row.uid,
        repo_uid=row.repo,
        person=Account(row.name, row.full_name, is_admin=row.is_admin, email=row.email),
        state=AccessState(row.state),
        was_asked=row.was_asked,
        asked_at=row.asked_at,
        message=row.message,
        answers=json.loads(row.answers),
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        reason=row.reason,
    )
