"""Many who sign in at once wait in line, and the line has an end."""

import anyio

from cairn.errors import UnavailableError
from cairn.hub import threads


def test_costly_calls_run_a_few_at_a_time_and_the_line_has_an_end() -> None:
    running, most, refused, done = 0, 0, 0, 0

    async def main() -> None:
        nonlocal refused, done
        gate = anyio.Event()

        def work() -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            anyio.from_thread.run(gate.wait)
            running -= 1

        async def caller() -> None:
            nonlocal refused, done
            try:
                await threads.call_costly(work)
                done += 1
            except UnavailableError:
                refused += 1

        async with anyio.create_task_group() as group:
            for _ in range(threads.MAX_COSTLY_CALLS + threads.MAX_COSTLY_WAITING + 10):
                group.start_soon(caller)
            with anyio.fail_after(20):
                while refused < 10 or running < threads.MAX_COSTLY_CALLS:
                    await anyio.sleep(0.01)
            # Pages are served meanwhile: short calls have threads of their own.
            with anyio.fail_after(20):
                assert await threads.call(lambda: "a page") == "a page"
            gate.set()

    anyio.run(main)
    assert most == threads.MAX_COSTLY_CALLS
    assert (done, refused) == (threads.MAX_COSTLY_CALLS + threads.MAX_COSTLY_WAITING, 10)
