import asyncio
import threading

from app_client import client_of, predict

from audionet.app.request_queue import RequestQueue


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
