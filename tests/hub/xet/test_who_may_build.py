"""Whatever happens to repos and their visibility, files are made of what their senders may read."""

import random
from dataclasses import dataclass

from tests.hub.xet.builders import File, Xorb
from tests.hub.xet.builders import shard as make_shard
from tests.hub.xet.conftest import XetHub
from tests.hub.xet.repos import commit, new_repo, whole

PEOPLE = ("ann", "bob")
STEPS = 30
SEED = 1


@dataclass
class Published:
    """A repo with one revision of one file, which is one run, and who may read it."""

    repo: str
    xorb: Xorb
    is_open: bool = True

    def is_read_by(self, who: str) -> bool:
        return self.is_open or self.repo.startswith(f"{who}/")


class World:
    """Does things to a hub and knows what must come of them."""

    def __init__(self, hub: XetHub, seed: int) -> None:
        self._hub = hub
        self._rng = random.Random(seed)
        self._published: list[Published] = []
        self._xorbs: list[Xorb] = []
        self.outcomes: list[bool] = []

    def publish(self) -> None:
        """A new file, or one that somebody else published too."""
        if self._xorbs and self._rng.random() < 0.3:
            xorb = self._rng.choice(self._xorbs)
        else:
            xorb = Xorb([self._rng.randbytes(8192) for _ in range(34)])
            self._xorbs.append(xorb)
        repo = new_repo(self._hub, self._rng.choice(PEOPLE))
        assert self._push(repo, whole(xorb), xorb).status_code == 200
        commit(self._hub, repo, whole(xorb).data)
        self._published.append(Published(repo, xorb))

    def change_visibility(self) -> None:
        chosen = self._rng.choice(self._published)
        chosen.is_open = self._rng.random() < 0.5
        closing = self._rng.choice([{"private": True}, {"gated": "manual"}])
        change = {"private": False, "gated": "off"} if chosen.is_open else closing
        self._hub.house.catalog.repos.update(self._hub.repo_id(chosen.repo), **change)

    def delete(self) -> None:
        chosen = self._published.pop(self._rng.randrange(len(self._published)))
        self._hub.house.catalog.repos.delete(self._hub.repo_id(chosen.repo))

    def build(self) -> None:
        """Push a file of runs that were not sent, and perhaps of something new."""
        who, named = self._rng.choice(PEOPLE), self._rng.sample(self._xorbs, 2)
        new = Xorb([self._rng.randbytes(9000)])
        file = File([(named[0], 0, 20), (new, 0, 1), (named[1], 5, 34)])
        repo = new_repo(self._hub, who)
        answer = self._push(repo, file, new)
        may = all(any(p.xorb is x and p.is_read_by(who) for p in self._published) for x in named)
        assert answer.status_code == (200 if may else 400), answer.text
        assert self._hub.received(file.sha256, repo) == (file.data if may else None)
        self.outcomes.append(may)

    def _push(self, repo: str, file: File, sent: Xorb):
        grant = self._hub.connect(repo, who=repo.partition("/")[0])
        self._hub.cas(grant, f"/v1/xorbs/default/{sent.text}", sent.body)
        return self._hub.cas(grant, "/v1/shards", make_shard([file.record()], []))


def test_a_file_is_made_exactly_where_all_its_runs_may_be_read(hub):
    world, rng = World(hub, SEED), random.Random(SEED)
    for _ in range(4):
        world.publish()
    actions = (world.publish, world.change_visibility, world.delete, world.build)
    for _ in range(STEPS):
        rng.choices(actions, (2, 3, 1, 6))[0]()
    assert {True, False} <= set(world.outcomes)
