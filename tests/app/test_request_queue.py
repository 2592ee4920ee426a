import asyncio
import contextlib
import threading
import time

import pytest
from app_client import client_of, predict

from audionet.app.request_queue import GoneError, RequestQueue
from audionet.app.sandbox import Limits, SandboxedWorker, report_progress


class SlowWorker:
    """Runs tasks in threads, and none before it is told to."""

    def __init__(self):
        self.go = threading.Event()
        self.done = []

    def run(self, task, *args, **kwargs):
        self.go.wait(10)
        result = task(*args, **kwargs)
        self.done.append(result)
        return result


def test_those_who_wait_are_served_in_order_and_others_asked_to_come_again():
    async def story():
        worker = SlowWorker()
        queue = RequestQueue(worker, most_waiting=5)
        waiting = [asyncio.create_task(queue.run(int, number)) for number in range(5)]
        await asyncio.sleep(0)
        late = await asyncio.gather(queue.run(int, 9), return_exceptions=True)
        worker.go.set()
        return await asyncio.gather(*waiting), worker.done, late[0], queue.waiting

    answers, done, late, waiting = asyncio.run(story())
    assert answers == done == list(range(5))
    assert late.retry_after_seconds >= 1 and "Come again" in str(late)
    assert waiting == 0


def test_more_than_may_wait_are_asked_to_come_again(app_settings, clip):
    with client_of(app_settings, most_waiting=1) as client:
        client.app.state.shared.queue.waiting = 1
        response = predict(client, clip)
        client.app.state.shared.queue.waiting = 0
    assert response.status_code == 503 and int(response.headers["retry-after"]) >= 1


class Client:
    """A client that goes when it is told to."""

    def __init__(self):
        self.is_gone = False

    async def is_disconnected(self):
        return self.is_gone


def go_half_the_way():
    report_progress(0.5)
    time.sleep(600)


def test_the_work_of_a_client_that_goes_is_ended_and_the_next_is_served():
    async def story(worker):
        queue, client = RequestQueue(worker, most_waiting=5), Client()
        work = asyncio.create_task(queue.run_watched(client, "ticket", go_half_the_way))
        while not queue.progress("ticket"):
            await asyncio.sleep(0.05)
        assert queue.progress("ticket") == 0.5 and queue.progress("another") is None
        client.is_gone = True
        with pytest.raises(GoneError):
            await work
        assert queue.progress("ticket") is None and queue.waiting == 0
        return await queue.run(int, "7")

    with contextlib.closing(SandboxedWorker(Limits(seconds=60))) as worker:
        assert asyncio.run(story(worker)) == 7
