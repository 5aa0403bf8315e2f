"""An open loop charges a server with all that fell due while it stalled."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import repeat

import pytest

from benchmarks.harness.open_loop import Crowd, Paced, get, load
from benchmarks.harness.requests import WrongAnswer

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
REFUSED = b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"
STALL, RATE = 0.3, 100

Answer = Callable[[socket.socket, bytes], None]


def say(answer: bytes) -> Answer:
    return lambda connection, _request: connection.sendall(answer)


def in_parts(connection: socket.socket, _request: bytes) -> None:
    for part in (OK[:10], OK[10:-1], OK[-1:]):
        connection.sendall(part)
        time.sleep(0.001)


def hang_up(connection: socket.socket, _request: bytes) -> None:
    connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def server(answer: Answer) -> Iterator[int]:
    """A server with a thread for each connection, which answers each thing that comes."""

    def talk(connection: socket.socket) -> None:
        # Whoever measured may be gone with an answer unread.
        with connection, suppress(ConnectionError):
            while request := connection.recv(65536):
                answer(connection, request)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            talking = threading.Thread(target=talk, args=[connection])
            talking.start()
            threads.append(talking)

    threads: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        accepting = threading.Thread(target=accept)
        accepting.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        accepting.join()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("spin", [True, False])
def test_each_request_that_fell_due_in_a_stall_is_charged_with_it(spin: bool) -> None:
    free = threading.Event()

    def stall(connection: socket.socket, _request: bytes) -> None:
        free.wait(STALL)
        free.set()
        connection.sendall(OK)

    paced = Paced(repeat(get("/")), RATE, 2 * STALL)
    with server(stall) as port:
        load(port, paced, spin=spin)
    # A closed loop would have waited once, and have sent less.
    assert len(paced.latencies) == 2 * STALL * RATE
    late = [took for took in paced.latencies if took > STALL / 2]
    assert max(paced.latencies) >= STALL * 0.9
    assert len(late) >= RATE * STALL / 3


@pytest.mark.parametrize("answer", [say(OK), in_parts], ids=["whole", "in parts"])
def test_a_closed_loop_sends_all_that_it_has(answer: Answer) -> None:
    crowd = Crowd(repeat(get("/"), 50), 4)
    paced = Paced(repeat(get("/")), RATE, float("inf"))
    with server(answer) as port:
        load(port, paced, crowd, spin=False)
    assert len(crowd.answered) == 50
    assert crowd.answered == sorted(crowd.answered)


def test_a_closed_loop_ends_with_the_open_one_and_its_answers_are_waited_for() -> None:
    crowd = Crowd(repeat(get("/")), 4)
    with server(say(OK)) as port:
        load(port, Paced(repeat(get("/")), RATE, 0.05), crowd, spin=False)
    assert len(crowd.answered) >= 4


@pytest.mark.parametrize(
    ("answer", "message"),
    [(say(REFUSED), "401 in the place of 200"), (hang_up, "closed a connection")],
    ids=["refused", "hung up"],
)
def test_a_wrong_answer_ends_the_measurement(answer: Answer, message: str) -> None:
    with server(answer) as port, pytest.raises(WrongAnswer, match=message):
        load(port, Paced(repeat(get("/")), RATE, 0.1), spin=False)
