import os

from predictions.worker import stopping


def test_it_tells_a_forked_worker() -> None:
    try:
        if (worker := os.fork()) == 0:
            while not stopping.is_asked():
                pass
            os._exit(7)
        stopping.ask()

        assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 7
    finally:
        stopping.ask(False)
    assert not stopping.is_asked()
